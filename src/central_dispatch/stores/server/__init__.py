"""The job table on a database server, PostgreSQL or MariaDB: functions on a session in a transaction, and the store.

Statements are written once, in PostgreSQL's words; what MariaDB calls otherwise is in its dialect.
"""

from central_dispatch.stores.server.store import ServerStore

__all__ = ["ServerStore"]
