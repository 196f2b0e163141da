"""One file per kind of job, imported only in a child."""
