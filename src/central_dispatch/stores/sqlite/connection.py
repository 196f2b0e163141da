"""Connections to the database file: one per thread, every write behind the gate, every fault a `StoreDown`."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from central_dispatch.jobs.ports import StoreDown
from central_dispatch.stores.gate import Gate, GateClosed, gate_path

#: How long one call may wait for its turn, in seconds; then `StoreDown`, and the caller asks again.
PATIENCE_S = 8.0
# FULL: what was settled must survive a power cut, or the job would run twice. In WAL mode one fsync per transaction.
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA mmap_size=134217728",
)


class _Opened:
    """One thread's connection and its own hold on the gate."""

    def __init__(self, path: Path) -> None:
        # Never creates the file: without the tables it would be of no use, and would hide a wrong path.
        self.connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=PATIENCE_S,
            isolation_level=None,
            check_same_thread=False,  # `Connections.close` may come from another thread
            cached_statements=256,
        )
        try:
            for pragma in _PRAGMAS:
                self.connection.execute(pragma)
            self._path = path
            self._file = _identity(path)
            self.gate = Gate(gate_path(path), PATIENCE_S)
        except BaseException:
            self.connection.close()
            raise

    def is_at_its_path(self) -> bool:
        """Say whether the file that is open is the one that lies there: a restored backup is another one."""
        return _identity(self._path) == self._file

    def close(self) -> None:
        self.connection.close()
        self.gate.close()


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 a third of the time, for each transaction
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


class Connections:
    """Opens a connection for each thread that asks; a fault closes the thread's own, so the next call begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._all: set[_Opened] = set()
        self._lock = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to read from: one snapshot until the end of the block. Never waits for a writer."""
        with self._translated():
            connection = self._mine().connection
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a write transaction, which is committed at the end, or undone by an exception."""
        with self._translated():
            opened = self._mine()
            opened.gate.enter()
            try:
                yield from _transaction(opened.connection)
            finally:
                opened.gate.leave()

    def close(self) -> None:
        """Close all threads' connections. The object may be used again."""
        with self._lock:
            opened, self._all = self._all, set()
            self._local = threading.local()
        for each in opened:
            each.close()

    def _mine(self) -> _Opened:
        opened: _Opened | None = getattr(self._local, "opened", None)
        if opened is not None and not opened.is_at_its_path():
            # Whoever works on would write into a file that nobody else sees.
            self._forget()
            opened = None
        if opened is None:
            opened = self._local.opened = _Opened(self._path)
            with self._lock:
                self._all.add(opened)
        return opened

    def _forget(self) -> None:
        opened: _Opened | None = getattr(self._local, "opened", None)
        self._local.opened = None
        if opened is not None:
            with self._lock:
                self._all.discard(opened)
            opened.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a fault of ours, never the database's: let it be seen
        except (sqlite3.DatabaseError, GateClosed, OSError) as error:
            self._forget()
            raise StoreDown(explain(error, self._path)) from error


def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


_MENDS = (
    ("full", "The disk is full. Free space on it; jobs wait meanwhile and nothing is lost."),
    ("unable to open", "Check that the file exists (central-dispatch up makes it) and that this user may write it."),
    ("no such table", "The tables are missing or older than this version: start the dispatcher once to migrate."),
    ("no such column", "The tables are older than this version: start the dispatcher once to migrate."),
    ("readonly", "Give this user the right to write the file and its directory."),
    ("malformed", "The file is damaged: stop everything and restore a backup."),
    ("not a database", "The file is damaged: stop everything and restore a backup."),
    ("disk i/o error", "The disk does not answer as it should: look at the kernel's log."),
)


def explain(error: Exception, path: Path) -> str:
    """Return one line: what went wrong with which file, and what to do."""
    words = str(error)
    mend = next((mend for sign, mend in _MENDS if sign in words.lower()), "It is tried again; nothing is lost.")
    return f"the job database {path} cannot be used: {words}. {mend}"
