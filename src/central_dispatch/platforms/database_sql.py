"""SQL texts: identifiers quoted, and the account that provisioning needs. Pure."""

#: What an instance's account gets, and so what the provisioning account must be able to pass on.
INSTANCE_RIGHTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, LOCK TABLES, "
    "EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER, DELETE HISTORY"
)


def quoted(identifier: str) -> str:
    """Return an identifier in backticks."""
    if not identifier or "\0" in identifier:
        raise ValueError(f"{identifier!r} cannot be an identifier")
    return "`" + identifier.replace("`", "``") + "`"


def text(value: str) -> str:
    """Return a text literal, in the form that both with and without backslash escapes means the same."""
    if "\\" in value or "\0" in value or "\n" in value:
        raise ValueError("use no backslash, line end or NUL in a name or password of the database server")
    return "'" + value.replace("'", "''") + "'"


def escaped_pattern(database: str) -> str:
    """Return a database name for a GRANT, where `_` and `%` would stand for other characters."""
    return database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")


def tables_with_marks(column: str) -> str:
    """Return the query for a column of one table's description."""
    return f"SELECT {column} FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"  # noqa: S608 our own column name


def prepare_statements(user: str, password: str = "", host: str = "localhost") -> tuple[str, ...]:
    """Return the statements that make the provisioning account; they may run again.

    For MariaDB, whose rights and forms these are; MySQL's administrator names an account of MySQL's own.
    Without a password the server knows the account by the Unix user of the same name (`unix_socket`).
    The account may create and drop databases and users, and pass on the rights of an instance. It may not
    read or write files, stop the server, change its settings, or replicate.
    """
    account = f"{text(user)}@{text(host)}"
    how = f"BY {text(password)}" if password else "VIA unix_socket"
    rights = f"CREATE USER, PROCESS, CONNECTION ADMIN, {INSTANCE_RIGHTS}"
    return (
        f"CREATE USER IF NOT EXISTS {account} IDENTIFIED {how}",
        f"ALTER USER {account} IDENTIFIED {how}",
        f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account}",
        f"GRANT {rights} ON *.* TO {account} WITH GRANT OPTION",
    )


def prepare_sql(user: str, password: str = "", host: str = "localhost") -> str:
    """Return `prepare_statements` as a text to show; the password stands as `********` in it."""
    shown = prepare_statements(user, "********" if password else "", host)
    return "".join(f"{statement};\n" for statement in shown)
