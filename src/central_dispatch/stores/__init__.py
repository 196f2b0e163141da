"""The job table in SQL, one file per database, without an ORM."""
