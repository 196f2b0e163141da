"""Which database the dispatcher uses, as dispatcher.toml says. Without one: SQLite in its home directory."""

from pathlib import Path
from typing import Any

from central_dispatch.configuration import Database, read_configuration
from central_dispatch.stores.places import DATABASE, driver_of


def databases(home: Path) -> dict[str, dict[str, Any]]:
    """Return Django's `DATABASES` for a home directory; `BadConfiguration` says what to mend in the file."""
    database = read_configuration(home).database
    if database.engine == "sqlite":
        return {"default": sqlite(home / "dispatcher" / DATABASE)}
    return {"default": postgresql(database) if database.engine == "postgresql" else mariadb(database)}


def sqlite(path: Path) -> dict[str, Any]:
    """Return the entry for a SQLite file, by our backend with its write gate."""
    return {
        "ENGINE": "central_dispatch.portal.sqlite",
        "NAME": str(path),
        # A thread keeps its connection: opening one costs more than most requests do.
        "CONN_MAX_AGE": None,
        "ATOMIC_REQUESTS": False,
        "TEST": {"NAME": str(path.with_name("test.sqlite3"))},
    }


def postgresql(database: Database) -> dict[str, Any]:
    """Return the entry for PostgreSQL: READ COMMITTED, statements that end, connections that are looked at first."""
    given = driver_of("postgresql").parameters(database)
    return _server("django.db.backends.postgresql", given, ("host", "port", "dbname", "user", "password"))


def mariadb(database: Database) -> dict[str, Any]:
    """Return the entry for MariaDB, by our backend whose searches do not heed case."""
    given = driver_of("mariadb").parameters(database)
    # Django reads a socket as a host that begins with a slash, and asks for found rows itself.
    given.pop("client_flag")
    given["host"] = given.pop("unix_socket", None) or given.get("host", "")
    given["isolation_level"] = "read committed"
    return _server("central_dispatch.portal.mariadb", given, ("host", "port", "database", "user", "password"))


def _server(engine: str, given: dict[str, Any], named: tuple[str, ...]) -> dict[str, Any]:
    host, port, name, user, password = (given.pop(word, "") for word in named)
    return {
        "ENGINE": engine,
        "HOST": host,
        "PORT": port,
        "NAME": name,
        "USER": user,
        "PASSWORD": password,
        "OPTIONS": given,
        "CONN_MAX_AGE": None,
        # The server may have ended a connection that was idle: a request finds out before it begins.
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
    }
