"""The spool: files that payloads name, below the dispatcher's own directory. No link is followed on the way."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from central_dispatch.fleet.home import dispatcher_directory
from central_dispatch.provisioning.problem import Problem

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: a pipe that somebody put there must not hold us.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def spool_directory() -> Path:
    """Return where the spool lies. It need not exist."""
    return dispatcher_directory() / "spool"


def open_spooled(name: str) -> BinaryIO | Problem:
    """Open a file of the spool by its relative name, `batches/edit.jsonl`, or say why it cannot be trusted."""
    parts = name.split("/")
    if "\0" in name or any(part in {"", ".", ".."} for part in parts):
        mend = f"Name a file below {spool_directory()} by its path from there, without a leading slash."
        return Problem(f"“{name[:200]}” is no name of a spooled file", mend=mend, field="file")
    try:
        descriptor = _descend(parts)
    except OSError as error:
        why = "a link is on the way, or no directory" if isinstance(error, NotADirectoryError) else error.strerror
        mend = f"Put the file itself below {spool_directory()}; links are not followed."
        return Problem(f"{name} cannot be read", why or "", mend, "file")
    problem = _judged(name, os.fstat(descriptor), stat.S_ISREG)
    if problem:
        os.close(descriptor)
        return problem
    return os.fdopen(descriptor, "rb")


def _descend(parts: list[str]) -> int:
    """Open the last part from the spool on, one trusted directory after the other."""
    directory = os.open(spool_directory(), _DIRECTORY)
    try:
        for part in parts[:-1]:
            _demand(part, directory)
            below = os.open(part, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = below
        _demand(parts[-1], directory)
        return os.open(parts[-1], _FILE, dir_fd=directory)
    finally:
        with suppress(OSError):
            os.close(directory)


def _demand(part: str, directory: int) -> None:
    if _judged(part, os.fstat(directory), stat.S_ISDIR):
        raise PermissionError(0, f"others may change the directory that {part} lies in")


def _judged(name: str, found: os.stat_result, is_kind: Callable[[int], bool]) -> Problem | None:
    if not is_kind(found.st_mode):
        return Problem(f"{name} is no plain file", mend="Put a plain file there.", field="file")
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & 0o022:
        mend = "Let it belong to the dispatcher's user, and take the right to write from all others (chmod go-w)."
        return Problem(f"{name} could have been written by others", mend=mend, field="file")
    return None
