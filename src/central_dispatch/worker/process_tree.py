"""Processes as /proc shows them: who is below whom, and how to end all of them.

A process of ours that may leave descendants is a *subreaper*: a grandchild whose parent ended (a double
fork, with or without a session of its own) comes to it and not to init, so that nothing gets out of sight.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBRARY = ctypes.CDLL(None, use_errno=True)
_PROC = "/proc"
_STAT_BYTES = 4096
_DEAD = frozenset("ZX")
STOPPED = frozenset("Tt")


@dataclass(frozen=True, slots=True)
class Seen:
    """One process. `started`: in clock ticks since boot, which with the pid names a process for good."""

    pid: int
    parent: int
    state: str
    started: int

    @property
    def lives(self) -> bool:
        """It is more than an entry that nobody has reaped yet."""
        return self.state not in _DEAD


def die_with_parent(number: signal.Signals, parent: int) -> None:
    """Have the kernel send us this signal when our parent dies; end at once if it has died already."""
    _LIBRARY.prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os._exit(1)


def become_subreaper() -> None:
    """Have orphans among our descendants come to us."""
    _LIBRARY.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def look_at(pid: int) -> Seen | None:
    """Return a process, or None where there is none of that pid."""
    try:
        # By hand: hundreds of trees may be looked at while all of them are being ended.
        opened = os.open(f"{_PROC}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        content = os.read(opened, _STAT_BYTES)
    except OSError:
        return None
    finally:
        os.close(opened)
    # The name stands in brackets and may itself hold brackets and spaces.
    fields = content[content.rfind(b")") + 2 :].split()
    return Seen(pid, int(fields[1]), fields[0].decode("ascii"), int(fields[19]))


def every_pid() -> Iterator[int]:
    """Return the pids that are there now."""
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            yield int(entry.name)


def snapshot() -> dict[int, list[Seen]]:
    """Return all processes by their parent's pid."""
    found: dict[int, list[Seen]] = {}
    for pid in every_pid():
        if seen := look_at(pid):
            found.setdefault(seen.parent, []).append(seen)
    return found


def below(root: int, by_parent: dict[int, list[Seen]]) -> list[Seen]:
    """Return everything below a process, parents before children."""
    found: list[Seen] = []
    ahead = [root]
    while ahead:
        for seen in by_parent.get(ahead.pop(), ()):
            found.append(seen)
            ahead.append(seen.pid)
    return found


def below_now(root: int) -> list[Seen]:
    """Return what is below a process, as far as the kernel lists it now; without a look at all other processes.

    What forks or ends meanwhile may be missing: for a caller who looks until nothing is left.
    """
    found: list[Seen] = []
    ahead = [root]
    while ahead:
        for pid in _children_of(ahead.pop()):
            if seen := look_at(pid):
                found.append(seen)
                ahead.append(pid)
    return found


def children_now(pid: int) -> list[Seen]:
    """Return a process's own children, likewise."""
    return [seen for child in _children_of(pid) if (seen := look_at(child))]


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    try:
        # Each thread has the children that it made.
        for thread in os.listdir(f"{_PROC}/{pid}/task"):  # noqa: PTH208 names are enough, and quicker
            with open(f"{_PROC}/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 likewise
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        if not lists_children():
            return [seen.pid for seen in snapshot().get(pid, ())]
    return found


@cache
def lists_children() -> bool:
    """Say whether this kernel lists a process's children (CONFIG_PROC_CHILDREN)."""
    return os.path.exists(f"{_PROC}/self/task/{threading.get_native_id()}/children")  # noqa: PTH110 no object per look


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_all(processes: Collection[Seen]) -> int:
    """Kill those that live; returns how many did. All are stopped first, so that none forks meanwhile."""
    living = [seen for seen in processes if seen.lives]
    for seen in living:
        send(seen.pid, signal.SIGSTOP)
    for seen in living:
        send(seen.pid, signal.SIGKILL)
    return len(living)


def environment(pid: int) -> dict[str, str]:
    """Return the environment a process was started with; empty where it is gone or not ours to read."""
    try:
        content = Path(f"{_PROC}/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in content.split(b"\0") if entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
