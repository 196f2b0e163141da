"""What of a process a handler can change and leave behind: put right, or named, so that no job meets it."""

import _signal  # type: ignore[import-not-found]  # the stubs leave it out. The plain functions: `signal` makes an enum member of each answer, six times as slow
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

_SIGNALS = tuple(sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_LIMITS = (
    resource.RLIMIT_NOFILE, resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU,
    resource.RLIMIT_NPROC, resource.RLIMIT_CORE, resource.RLIMIT_STACK,
)  # fmt: skip
#: Open files that jobs may leave behind before the process is used up: a library's cache may keep some.
_SPARE_FILES = 64


class ProcessState:
    """The state of this process as it is now, to come back to after each job. About 10 microseconds a look."""

    def __init__(self, directory: str) -> None:
        """`directory` is the current one between jobs."""
        self._directory = directory
        self._umask = os.umask(0o077)
        self.put_right()
        self._streams: tuple[TextIO, TextIO] = (sys.stdout, sys.stderr)
        self._printing = _identity(1)
        self._expected = {name: read() for name, read in _READERS.items()}
        self._lowest_free = _lowest_free()

    def put_right(self) -> None:
        """Undo what can be undone: timers, the current directory, the umask."""
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        os.umask(self._umask)
        with suppress(OSError):
            os.chdir(self._directory)

    def spoiled(self) -> str:
        """Return what cannot be undone, in a word: a fresh process is needed. Empty where all is as it was."""
        if threading.active_count() > 1:
            return "threads"
        if (sys.stdout, sys.stderr) != self._streams or sys.stdout.closed or sys.stderr.closed:
            return "standard streams"
        if _identity(1) != self._printing or _identity(2) != self._printing:
            return "standard streams"
        if _lowest_free() > self._lowest_free + _SPARE_FILES:
            return "open files"
        return next((name for name, read in _READERS.items() if read() != self._expected[name]), "")


def _environment() -> dict[bytes, bytes]:
    # Ten times as fast as the public comparison, and done for each job.
    return dict(os.environ._data)  # type: ignore[attr-defined]  # noqa: SLF001 see above


def _handlers() -> list[object]:
    return [_signal.getsignal(number) for number in _SIGNALS]


def _users() -> tuple[int, ...]:
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.nice(0)


def _interpreter() -> tuple[object, ...]:
    return (
        sys.getrecursionlimit(), gc.isenabled(), sys.gettrace(), sys.getprofile(), socket.getdefaulttimeout(),
        sys.excepthook, threading.excepthook,
    )  # fmt: skip


def _identity(descriptor: int) -> tuple[int, int]:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _lowest_free() -> int:
    try:
        free = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 1 << 20  # there is none left
    os.close(free)
    return free


_READERS: dict[str, Callable[[], object]] = {
    "environment": _environment,
    "signal handlers": _handlers,
    "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "limits": lambda: [resource.getrlimit(limit) for limit in _LIMITS],
    "users and priority": _users,
    "interpreter settings": _interpreter,
}
