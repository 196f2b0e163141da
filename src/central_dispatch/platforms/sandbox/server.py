"""What the sandbox's servers have in common: found by their own arguments, waited for, and ended."""

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from central_dispatch.platforms import proc
from central_dispatch.provisioning.problem import HostError, Problem

_POLL_S = 0.02
_START_S = 60.0


def is_running(arguments: Sequence[str]) -> bool:
    """Say whether a process lives that was started with all these arguments. Needs no pid file."""
    return bool(proc.with_arguments(*arguments))


def wait_until(ready: Callable[[], bool], alive: Callable[[], bool], *, title: str, log: Path) -> None:
    """Wait until the server answers; raises `HostError` with its log's end when it died or takes too long."""
    deadline = time.monotonic() + _START_S
    while not ready():
        if not alive() or time.monotonic() > deadline:
            raise HostError(Problem(f"The sandbox's {title} did not start", log_end(log), "Correct what it says."))
        time.sleep(_POLL_S)


def end(arguments: Sequence[str], *, title: str, grace_s: float) -> None:
    """End the server's processes and wait until none is left. Idempotent."""
    left = proc.end(lambda: proc.with_arguments(*arguments), grace_s=grace_s)
    if left:
        numbers = ", ".join(str(one.pid) for one in left)
        raise HostError(Problem(f"The sandbox's {title} does not end", f"pid {numbers}", "Look at what it waits for."))


def log_end(log: Path) -> str:
    """Return the last lines of a log."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
    except OSError:
        return "it wrote no log"


def free_ports(count: int) -> list[int]:
    """Return so many different ports that nobody listens on, on loopback."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
