"""Room on the disk that is kept for the journal: a run on a full disk can still be backed out, and say so."""

import errno
import os
from pathlib import Path

from central_dispatch.host import durable

RESERVE_BYTES = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full(error: OSError) -> bool:
    """Say whether the file system took no more."""
    return error.errno in _FULL


class Reserve:
    """A file of `RESERVE_BYTES` that holds nothing but its place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def give_up(self) -> bool:
        """Free the place; False where there was none to free."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        durable.sync_directory(self._path.parent)
        return True

    def make(self) -> bool:
        """Take the place (again), as soon as the disk has room for it twice; say whether it is held. Never raises."""
        try:
            if self._path.exists() and self._path.stat().st_size >= RESERVE_BYTES:
                return True
            found = os.statvfs(self._path.parent)
            if found.f_bavail * found.f_frsize < 2 * RESERVE_BYTES:
                return False
            # Written, not allocated: some file systems promise a place that they have not got.
            durable.write(self._path, os.urandom(RESERVE_BYTES))
        except OSError:
            return False
        return True
