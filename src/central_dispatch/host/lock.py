"""One host worker per host: a lock that the kernel gives back however its holder ends."""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from central_dispatch.host import durable


@dataclass(frozen=True, slots=True)
class Held:
    """Another process holds the lock. `pid` is 0 where it has not said yet who it is."""

    pid: int


class WorkerLock:
    """The lock, held until `release` or the end of the process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def take(state: Path) -> WorkerLock | Held:
    """Take the host worker's lock, without waiting."""
    durable.make_private(state)
    fd = os.open(state / "worker.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(fd, 32, 0).strip()
        os.close(fd)
        return Held(int(said) if said.isdigit() else 0)
    # Only for the message of whom we keep out; a full disk must not keep a recovery from starting.
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    return WorkerLock(fd)
