"""Captured output, in a file of its own beside the database: large, written once, and no loss to the job if lost."""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from central_dispatch.stores.gate import Gate, gate_path
from central_dispatch.stores.sqlite.connection import PATIENCE_S

#: More than this of one execution is not kept: its end is, as errors come last.
MAX_OUTPUT_BYTES = 128 * 1024
_TABLE = """
CREATE TABLE IF NOT EXISTS output (job INTEGER NOT NULL, fence INTEGER NOT NULL, content BLOB NOT NULL,
PRIMARY KEY (job, fence)) WITHOUT ROWID"""


class OutputFile:
    """`(job, fence) → bytes`. Opened at the first use; one connection, one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._gate: Gate | None = None

    def write(self, outputs: Sequence[tuple[int, int, bytes]]) -> None:
        """Keep outputs, before the settlements that name them. One that is there is replaced."""
        cut = [(job, fence, content[-MAX_OUTPUT_BYTES:]) for job, fence, content in outputs]
        with self._lock:
            connection, gate = self._open()
            gate.enter()
            try:
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO output (job, fence, content) VALUES (?, ?, ?)", cut)
            finally:
                gate.leave()

    def read(self, job: int, fence: int) -> bytes:
        """Return one execution's output; empty where there was none, or it is gone."""
        if not self._path.exists():
            return b""
        with self._lock:
            connection, _gate = self._open()
            row = connection.execute("SELECT content FROM output WHERE job = ? AND fence = ?", (job, fence)).fetchone()
        return bytes(row[0]) if row else b""

    def remove(self, jobs: Sequence[int]) -> None:
        """Remove what these jobs wrote."""
        if not jobs or not self._path.exists():
            return
        with self._lock:
            connection, gate = self._open()
            gate.enter()
            try:
                with connection:
                    connection.executemany("DELETE FROM output WHERE job = ?", [(job,) for job in jobs])
            finally:
                gate.leave()

    def close(self) -> None:
        """Close the file. It may be used again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            if self._gate is not None:
                self._gate.close()
            self._connection = self._gate = None

    def _open(self) -> tuple[sqlite3.Connection, Gate]:
        if self._connection is None or self._gate is None:
            self._path.touch(mode=0o600)
            gate = Gate(gate_path(self._path), PATIENCE_S)
            connection = sqlite3.connect(self._path, timeout=PATIENCE_S, check_same_thread=False)
            # NORMAL: what a power cut takes with it is the text of the last moments, not a job.
            for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", _TABLE):
                connection.execute(statement)
            connection.commit()
            self._connection, self._gate = connection, gate
        return self._connection, self._gate
