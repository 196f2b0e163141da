"""The job table on SQLite. Functions on a connection inside its transaction, and the store that wraps them."""

from central_dispatch.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
