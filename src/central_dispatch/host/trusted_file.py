"""Files that steer what root does: they count only if nobody but root (or we ourselves) can have written them."""

import os
import stat
from pathlib import Path

from central_dispatch.platforms.walk import parent_of
from central_dispatch.provisioning.problem import HostError, Problem

_LIMIT = 1 << 20


def read_trusted(path: Path, *, private: bool) -> bytes | Problem | None:
    """Return a file's content; None where there is none; a `Problem` where others could have written it.

    `private`: others may not even read it. No directory on the way may be open to others, and no link is followed.
    """
    try:
        with parent_of(str(path), writing=True) as (directory, name):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except HostError as error:
        return error.problem
    except OSError as error:
        mend = "Put a plain file there that root owns, and run as root."
        return Problem(f"{path} cannot be read", error.strerror or "", mend, field="settings")
    with os.fdopen(fd, "rb") as file:
        return _judged(path, os.fstat(fd), private=private) or file.read(_LIMIT)


def _judged(path: Path, found: os.stat_result, *, private: bool) -> Problem | None:
    if not stat.S_ISREG(found.st_mode):
        return Problem(f"{path} is not a plain file", "", "Put a plain file there that root owns.", field="settings")
    if found.st_uid not in {0, os.geteuid()}:
        return Problem(
            f"{path} belongs to another user (number {found.st_uid})",
            "it steers what root does",
            f"Look at what it says, then: chown root:root {path}",
            field="settings",
        )
    if found.st_mode & (0o077 if private else 0o022):
        verb, mode = ("read", "0600") if private else ("change", "0644")
        return Problem(
            f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):04o})",
            f"others may {verb} it",
            f"Look at what it says, then: chmod {mode} {path}",
            field="settings",
        )
    return None
