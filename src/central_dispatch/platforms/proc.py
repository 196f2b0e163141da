"""What runs on this machine, read from /proc, and ended by number."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_POLL_S = 0.02
# A process in uninterruptible sleep cannot be ended by anyone; nobody waits for it for ever.
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process that lives (zombies do not). `started` is in clock ticks since the machine's start."""

    pid: int
    parent: int
    session: int
    started: int
    uid: int


def find(pid: int) -> Process | None:
    """Return the process of that number, unless it is dead or a zombie."""
    directory = _PROC / str(pid)
    try:
        uid = directory.stat().st_uid
        # The name in parentheses may hold anything, so the fields are counted from its end.
        fields = (directory / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if len(fields) < 20 or fields[0] in {"Z", "X", "x"}:  # noqa: PLR2004 up to the start time, see proc(5)
        return None
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), _real_uid(directory, uid))


def _real_uid(directory: Path, fallback: int) -> int:
    """Return the real user: /proc/PID belongs to root where a process may not be inspected."""
    with suppress(OSError, IndexError, ValueError):
        for line in (directory / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[1])
    return fallback


def catches(pid: int, number: signal.Signals) -> bool:
    """Say whether the process has a handler for that signal; False for one that is gone."""
    with suppress(OSError, ValueError):
        for line in (_PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) & 1 << (number - 1))
    return False


def processes() -> list[Process]:
    """Return every process that lives."""
    numbers = [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 names, not paths
    return [found for pid in numbers if (found := find(pid))]


def lives(pid: int, started: int) -> bool:
    """Say whether the very process lives that started then, and not a later one of the same number."""
    found = find(pid)
    return found is not None and found.started == started


def has_variable(pid: int, assignment: str) -> bool:
    """Say whether the process was started with that `NAME=value` in its environment."""
    try:
        return assignment.encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def variable(pid: int, name: str) -> str:
    """Return the value that the process was started with in its environment; empty where it has none."""
    try:
        lines = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    found = [line for line in lines if line.startswith(name.encode() + b"=")]
    return found[0].partition(b"=")[2].decode("utf-8", "replace") if found else ""


def with_arguments(*wanted: str) -> list[Process]:
    """Return the living processes whose argument list has all of these."""
    return [found for found in processes() if set(wanted) <= _arguments(found.pid)]


def _arguments(pid: int) -> set[str]:
    try:
        return set((_PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0"))
    except OSError:
        return set()


def holds_open(pid: int, device: int, inode: int) -> bool:
    """Say whether the process has that file open."""
    try:
        descriptors = os.listdir(_PROC / str(pid) / "fd")  # noqa: PTH208 names, not paths
    except OSError:
        return False
    for name in descriptors:
        with suppress(OSError):
            found = (_PROC / str(pid) / "fd" / name).stat()
            if (found.st_dev, found.st_ino) == (device, inode):
                return True
    return False


def end(which: Callable[[], Iterable[Process]], grace_s: float = 2.0) -> list[Process]:
    """End the processes that `which` finds, and those that they start meanwhile: politely, then by force.

    Returns those that would not go, for which an administrator has to look.
    """
    started = time.monotonic()
    told: set[tuple[int, int]] = set()
    while living := [found for found in which() if found.pid != os.getpid()]:
        waited = time.monotonic() - started
        if waited > grace_s + _PATIENCE_S:
            return living
        for process in living:
            key = (process.pid, process.started)
            if waited >= grace_s:
                _signal(process, signal.SIGKILL)
            elif key not in told:
                told.add(key)
                _signal(process, signal.SIGTERM)
        time.sleep(_POLL_S)
    return []


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal the very process that was found; its number may have been taken over since."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        if lives(process.pid, process.started):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)
