"""The gate that every write transaction passes: one file lock beside the database.

SQLite lets writers poll for their turn, and a saturating writer starves the others for seconds. Behind one
lock each waits for one transaction at most.
"""

import fcntl
import os
import time
from pathlib import Path

from central_dispatch.stores.gate_holder import find_gate_holder, let_stopped_holder_go_on

#: A writer that has waited this long gives up, in seconds: something holds the gate that should not.
PATIENCE_S = 20.0
#: What one write transaction may take, in seconds; a longer one is reported by the backend.
LIMIT_S = 0.050
#: After so long, and again each time, a writer looks whether the holder was stopped in the midst of its transaction.
_LOOK_S = 2.0
_FIRST_PAUSE_S = 0.000_5
_LONGEST_PAUSE_S = 0.001


def gate_path(database: Path) -> Path:
    """Return the lock file of a database: one for all who write it, Django's connections and the store's."""
    return database.with_name(database.name + ".lock")


class GateClosed(Exception):
    """Another writer kept the gate for longer than its patience."""


class Gate:
    """One holder at a time, over threads and processes: each gate has its own descriptor, so flock tells them apart.

    The lock is the kernel's: a process that dies frees it.
    """

    def __init__(self, path: Path, patience_s: float | None = None) -> None:
        """`path` is the lock file; it is created, empty, private, and stays. `patience_s`: None for `PATIENCE_S`."""
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._path = path
        self._descriptor = self._open()
        self._since: float | None = None

    @property
    def held(self) -> bool:
        """This gate is the holder."""
        return self._since is not None

    def enter(self) -> None:
        """Wait for the turn; raise `GateClosed` when it does not come, `OSError` where there is no directory any more.

        A holder that was stopped with the gate in its hand is continued.
        """
        begun = time.monotonic()
        next_look = begun + _LOOK_S
        pause = _FIRST_PAUSE_S
        while not self._try():
            now = time.monotonic()
            if now > begun + self._patience_s:
                who = find_gate_holder(self._descriptor) or "another writer"
                raise GateClosed(f"{who} holds the database for more than {self._patience_s:.0f} s")
            if now > next_look:
                let_stopped_holder_go_on(self._descriptor)
                next_look = now + _LOOK_S
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        self._since = time.monotonic()

    def leave(self) -> float:
        """Let the next one in; return for how many seconds the gate was held (0 if it was not)."""
        if self._since is None:
            return 0.0
        held = time.monotonic() - self._since
        self._since = None
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return held

    def close(self) -> None:
        """Give up the lock, if held, and the descriptor."""
        self.leave()
        os.close(self._descriptor)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self._is_at_its_path():
            return True
        # Somebody removed or replaced the file: a lock on what is gone keeps nobody out.
        gone, self._descriptor = self._descriptor, self._open()
        os.close(gone)
        return False

    def _is_at_its_path(self) -> bool:
        try:
            there = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116 a third of the time, for each write
        except FileNotFoundError:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._path, flags, 0o600)
