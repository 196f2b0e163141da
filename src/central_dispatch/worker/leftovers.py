"""What a parent that was killed left on this machine: processes, found by their environment, and work directories."""

import errno
import fcntl
import logging
import os
import shutil
import stat
import time
from pathlib import Path

from central_dispatch.worker import process_tree

_log = logging.getLogger(__name__)
#: In the environment of everything below a fork server: whose it is, as pid/start time/pid namespace/work directory.
MARK = "CENTRAL_DISPATCH_PARENT"
_END_STEPS = 400


def own_mark(directory: Path) -> str:
    """Return what our own processes carry."""
    mine = process_tree.look_at(os.getpid())
    return f"{os.getpid()}/{mine.started if mine else 0}/{_namespace()}/{directory}"


def end_leftovers(directory: Path) -> int:
    """End processes of this work directory's parents that are gone; returns how many were found."""
    found: set[int] = set()
    for _ in range(_END_STEPS):
        left = [pid for pid in process_tree.every_pid() if _is_left(pid, directory)]
        if not left:
            break
        found.update(left)
        by_parent = process_tree.snapshot()
        for pid in left:
            seen = process_tree.look_at(pid)
            process_tree.kill_all([*([seen] if seen else []), *process_tree.below(pid, by_parent)])
        time.sleep(0.005)
    if found:
        _log.warning("ended %d processes that a killed queue worker had left", len(found))
    return len(found)


def _is_left(pid: int, directory: Path) -> bool:
    mark = process_tree.environment(pid).get(MARK, "")
    parent, _, rest = mark.partition("/")
    started, _, rest = rest.partition("/")
    namespace, _, path = rest.partition("/")
    if not (parent.isdigit() and started.isdigit()) or namespace != _namespace() or f"{path}" != str(directory):
        return False
    seen = process_tree.look_at(pid)
    if seen is None or not seen.lives:
        return False
    owner = process_tree.look_at(int(parent))
    return owner is None or owner.started != int(started) or not owner.lives


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116 the link's target has no path
    except OSError:
        return "0"


class WorkDirectory:
    """`work/`: one parent or several hold it shared; whoever finds itself alone in it empties it first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def take(self) -> None:
        """Make it, private, empty it if no other parent uses it, and hold it until `release`.

        `OSError` where it cannot be made, is a link, or is another user's: who can write there could have us write
        and remove elsewhere.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._make_private(self._lock)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in os.listdir(self._lock):  # noqa: PTH208 by its descriptor
                _remove(name, self._lock)
        except BlockingIOError:
            pass
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def _make_private(self, folder: int) -> None:
        found = os.fstat(folder)
        if found.st_uid != os.geteuid():
            self.release()
            raise PermissionError(errno.EPERM, "it belongs to another user; make it this user's own", str(self.path))
        if stat.S_IMODE(found.st_mode) != 0o700:  # noqa: PLR2004 a mode
            os.fchmod(folder, 0o700)

    def is_used(self) -> bool:
        """Say whether a queue worker of this machine holds it."""
        try:
            look = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(look, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(look)
        return False

    def release(self) -> None:
        """Let go of it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove(name: str, folder: int) -> None:
    """Remove what lies there, never what a link points to. What does not go is left for a look by hand."""
    try:
        os.unlink(name, dir_fd=folder)
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
    except OSError as error:
        _log.warning("%s cannot be removed from the work directory: %s", name, error.strerror)
