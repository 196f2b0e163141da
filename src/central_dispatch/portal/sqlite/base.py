"""The database wrapper that Django loads: WAL, durable commits, and the gate around every write."""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from central_dispatch.stores.gate import LIMIT_S, Gate, GateClosed, gate_path

Params = Sequence[Any] | Mapping[str, Any]
_log = logging.getLogger(__name__)
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "ALTER", "DROP")
# FULL: what a host was told is stored, and a run that was accepted, must survive a power cut; the host forgets its
# part once it is answered. In WAL mode that is one fsync per transaction.
_PRAGMAS = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA foreign_keys=ON;
PRAGMA journal_size_limit=67108864;
PRAGMA mmap_size=134217728;
"""


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose write transactions begin IMMEDIATE and pass the gate."""

    #: False while migrations run: they may take their time, nobody else writes then.
    reports_slow_writes = True
    _gate: Gate | None = None

    def get_connection_params(self) -> dict[str, Any]:
        """Wait for a lock as long as for the gate, and begin by taking the write lock."""
        self.settings_dict["OPTIONS"].setdefault("transaction_mode", "IMMEDIATE")
        self.settings_dict["OPTIONS"].setdefault("timeout", 20)
        params: dict[str, Any] = super().get_connection_params()
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        """Open the file, private to its owner, and its gate."""
        path = Path(self.settings_dict["NAME"])
        if not self.is_in_memory_db():
            self._gate = Gate(gate_path(path))
            path.touch(mode=0o600)
        connection: sqlite3.Connection = super().get_new_connection(conn_params)
        for pragma in _PRAGMAS.strip().splitlines():
            connection.execute(pragma)
        connection.execute("PRAGMA busy_timeout=20000")
        return connection

    def create_cursor(self, name: str | None = None) -> "GatedCursor":  # noqa: ARG002 Django passes it
        """Return a cursor; a single statement outside a transaction is one of its own and passes the gate."""
        return GatedCursor.opened(self)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Pass the gate for one statement."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def is_gated(self) -> bool:
        """Say whether the gate is held, or there is none (a database in memory has one user)."""
        return self._gate is None or self._gate.held

    def _start_transaction_under_autocommit(self) -> None:
        self._enter()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc] # the stubs leave it out
        except BaseException:
            self._leave()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc] # the stubs leave it out
        finally:
            # A failed commit is followed by a rollback, which may still need the write lock: stay inside.
            if self.connection is None or not self.connection.in_transaction:
                self._leave()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc] # the stubs leave it out
        finally:
            self._leave()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc] # the stubs leave it out
        finally:
            if self._gate is not None:
                self._gate.close()
                self._gate = None

    def _enter(self) -> None:
        if self._gate is None or self._gate.held:
            return
        try:
            self._gate.enter()
        except GateClosed as error:
            raise OperationalError(f"database is locked: {error}") from None

    def _leave(self) -> None:
        if self._gate is None:
            return
        held_s = self._gate.leave()
        if held_s > LIMIT_S and self.reports_slow_writes:
            _log.info("a write transaction took %.0f ms (the aim is %.0f)", held_s * 1000, LIMIT_S * 1000)


class GatedCursor(base.SQLiteCursorWrapper):
    """Django's cursor, which passes the gate for a write outside a transaction."""

    wrapper: DatabaseWrapper

    @classmethod
    def opened(cls, wrapper: DatabaseWrapper) -> "GatedCursor":
        """Return a cursor on a wrapper's connection."""
        cursor: GatedCursor = wrapper.connection.cursor(factory=cls)
        cursor.wrapper = wrapper
        return cursor

    def execute(self, query: str, params: Params | None = None) -> "GatedCursor":  # type: ignore[override] # the two above it disagree
        """Run one statement."""
        with nullcontext() if self.wrapper.is_gated() or not is_write(query) else self.wrapper.passing():
            super().execute(query, params)
        return self

    def executemany(self, query: str, param_list: Iterable[Params]) -> "GatedCursor":  # type: ignore[override] # likewise
        """Run one statement for many rows."""
        with nullcontext() if self.wrapper.is_gated() or not is_write(query) else self.wrapper.passing():
            super().executemany(query, param_list)
        return self


def is_write(query: str) -> bool:
    """Say whether a statement of Django's writes."""
    return query.lstrip()[:7].upper().startswith(_WRITES)
