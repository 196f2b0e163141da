"""Where the store lies, for every process that opens it."""

from pathlib import Path

from central_dispatch.stores.sqlite import SqliteStore

DATABASE = "dispatch.sqlite3"


def open_store(home: Path) -> SqliteStore:
    """Return the store below a home directory (`--home`). Opens nothing yet; the dispatcher makes and migrates it."""
    return SqliteStore(home / "dispatcher" / DATABASE)
