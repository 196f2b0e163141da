"""Who holds a file lock, and what to do about one that was stopped while it did: every writer waits for it.

A process that is stopped (Ctrl-Z, SIGSTOP) in the midst of a write transaction keeps the kernel's lock, and nobody
can take it from it. What it has begun takes milliseconds, so it is let go on; one that a debugger stopped is not.
"""

import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from central_dispatch.platforms import proc

_log = logging.getLogger(__name__)
_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class GateHolder:
    """A process that holds the lock. `state` as in /proc: `T` was stopped, `t` is stopped by a debugger."""

    pid: int
    state: str
    name: str

    def __str__(self) -> str:
        stands = {"T": ", which was stopped", "t": ", which a debugger stopped"}.get(self.state, "")
        return f"process {self.pid} ({self.name}){stands}"


def find_gate_holder(descriptor: int) -> GateHolder | None:
    """Return who holds the file of this descriptor by `flock`; None where the kernel does not tell."""
    file = os.fstat(descriptor)
    with suppress(OSError):
        for line in _LOCKS.read_text(encoding="ascii").splitlines():
            # `1: FLOCK  ADVISORY  WRITE 20002 fe:00:2164136 0 EOF`; a line with an arrow is of one that waits.
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(file.st_ino):
                pid = int(fields[4])
                # Some file systems are known to the kernel by another device number: asked of the process itself.
                if pid > 0 and proc.holds_open(pid, file.st_dev, file.st_ino):
                    return _look_at(pid)
    return None


def _look_at(pid: int) -> GateHolder | None:
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        before, _, after = text.rpartition(")")
        return GateHolder(pid, after.split()[0], before.partition("(")[2])
    return None


def let_stopped_holder_go_on(descriptor: int) -> GateHolder | None:
    """Continue a process of our own user that was stopped while it held the lock; returns who holds it."""
    found = find_gate_holder(descriptor)
    if found is not None and found.state == "T" and _is_ours(found.pid):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(found.pid, signal.SIGCONT)
            _log.warning("%s held up all who write the database, and was continued", found)
    return found


def _is_ours(pid: int) -> bool:
    process = proc.find(pid)
    return process is not None and process.uid == os.getuid()
