"""Which store there is, and where, for every process that opens it."""

from pathlib import Path
from types import ModuleType

from central_dispatch.configuration import Database, read_configuration
from central_dispatch.jobs.ports import Store

DATABASE = "dispatch.sqlite3"


def open_store(home: Path) -> Store:
    """Return the store of a home directory (`--home`), as its dispatcher.toml says; `BadConfiguration` if it cannot be.

    Opens nothing yet; the dispatcher makes and migrates the tables.
    """
    return store_of(read_configuration(home).database, home)


def store_of(database: Database, home: Path) -> Store:
    """Return the store that a configuration names."""
    # Each with its driver alone: they are extras of the installation.
    if database.engine == "sqlite":
        from central_dispatch.stores.sqlite import SqliteStore  # noqa: PLC0415 see above

        return SqliteStore(home / "dispatcher" / DATABASE)
    from central_dispatch.stores.server import ServerStore  # noqa: PLC0415 see above

    return ServerStore(driver_of(database.engine), database)


def driver_of(engine: str) -> ModuleType:
    """Return the module that knows a server's words."""
    if engine == "postgresql":
        from central_dispatch.stores.server import postgresql  # noqa: PLC0415 see above

        return postgresql
    from central_dispatch.stores.server import mariadb  # noqa: PLC0415 see above

    return mariadb


def tables_of(vendor: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the statements that make the tables, and those that remove them; `vendor` as Django calls it."""
    if vendor == "sqlite":
        from central_dispatch.stores.sqlite.schema import DROPPED, TABLES  # noqa: PLC0415 see above

        return TABLES, DROPPED
    from central_dispatch.stores.server import schema  # noqa: PLC0415 see above

    dialect = driver_of("postgresql" if vendor == "postgresql" else "mariadb").DIALECT
    return tuple(dialect.tables), schema.DROPPED
