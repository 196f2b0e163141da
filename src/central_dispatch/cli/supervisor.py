"""Keeps child processes running in the foreground: restarts what dies, stops everything in order.

A child lives in its own session, so that Ctrl-C reaches the supervisor alone, and gets SIGTERM from the
kernel when the supervisor dies of anything at all.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_PR_SET_PDEATHSIG = 1
#: A child that lived so long, in seconds, has its next death treated as its first.
STEADY_S = 60.0
LONGEST_PAUSE_S = 30.0
#: How long a child may take to stop before it is killed, in seconds; a host worker gives its runs 60.
STOP_S = 100.0


def pause_before(restart: int) -> float:
    """Return how long to wait before the n-th restart in a row (1, 2, …), in seconds."""
    return float(min(2 ** (restart - 1), LONGEST_PAUSE_S))


@dataclass
class Child:
    """One supervised process."""

    name: str
    argv: Sequence[str]
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    restarts: int = 0
    due: float = field(default=0.0)

    def start(self, now: float) -> None:
        """Start it; its output goes to our standard error."""
        supervisor = os.getpid()
        library = ctypes.CDLL(None, use_errno=True)

        def follow() -> None:
            # Between fork and exec: one system call, then a look whether the parent died before it.
            library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != supervisor:
                os.kill(os.getpid(), signal.SIGTERM)

        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
            preexec_fn=follow,  # noqa: PLW1509 the supervisor has no other thread that holds a lock then
        )
        self.started = now

    @property
    def running(self) -> bool:
        """The process lives."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Ask it to end, wait, and end it by force if it does not."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Supervisor:
    """Holds the children in the order in which they start; they stop the other way round."""

    def __init__(self, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.stopping = threading.Event()
        self._children: list[Child] = []
        self._report = report
        self._clock = clock

    def start(self, name: str, argv: Sequence[str]) -> Child:
        """Start a child and keep it running from now on."""
        child = Child(name, argv)
        child.start(self._clock())
        self._children.append(child)
        return child

    def watch(self) -> None:
        """Keep the children running until `stopping` is set."""
        while not self.stopping.wait(0.2):
            for child in self._children:
                self._keep(child)

    def stop(self) -> None:
        """Stop every child, the last one first."""
        for child in reversed(self._children):
            child.stop()
            self._report(f"{child.name} has stopped")

    def _keep(self, child: Child) -> None:
        now = self._clock()
        if child.running or child.process is None:
            return
        if not child.due:
            child.restarts = 1 if now - child.started > STEADY_S else child.restarts + 1
            child.due = now + pause_before(child.restarts)
            code = child.process.returncode
            self._report(f"{child.name} ended with {code}; it is started again in {child.due - now:g} s")
        elif now >= child.due:
            child.due = 0.0
            child.start(now)
