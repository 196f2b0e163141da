"""Django's MariaDB backend, for tables whose texts are compared character by character."""
