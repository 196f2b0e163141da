"""Handlers that leave their process, or what is around it, in a mess; and one that looks for traces of it."""

import asyncio
import ctypes
import gc
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from central_dispatch.jobs.handling import Attempt
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.outcome import Done, Failed, Outcome
from central_dispatch.jobs.queue_settings import QueueSettings

Payload = Mapping[str, Any]


def _alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.05)


def _environment() -> None:
    os.environ["LD_PRELOAD"] = "/evil.so"


def _threads() -> None:
    threading.Thread(target=time.sleep, args=(600,)).start()


def _streams() -> None:
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 a mess


def _closed_print() -> None:
    sys.stdout.close()


def _files() -> None:
    for _ in range(200):
        os.dup(0)


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def _daemon() -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 100)
            time.sleep(600)
        os._exit(0)
    os.wait()


def _mask() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


#: Each leaves something behind and then reports that all is well.
LEFT: dict[str, Callable[[], object]] = {
    "cwd": lambda: os.chdir("/usr"),
    "umask": lambda: os.umask(0),
    "alarm": _alarm,
    "sigterm": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "sigusr1": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    "blocked": _mask,
    "environment": _environment,
    "threads": _threads,
    "streams": _streams,
    "closed print": _closed_print,
    "files": _files,
    "limits": _limits,
    "nice": lambda: os.nice(5),
    "recursion": lambda: sys.setrecursionlimit(90),
    "no gc": gc.disable,
    "socket timeout": lambda: socket.setdefaulttimeout(0.001),
    "daemon": _daemon,
}


def leave(payload: Payload, attempt: Attempt) -> Outcome:
    if payload["what"] == "probe":
        return probe(payload, attempt)  # of the same queue, so that it runs in its turn
    LEFT[payload["what"]]()
    return Done()


def probe(_payload: Payload, _attempt: Attempt) -> Outcome:
    """Describe this process as a job finds it."""
    time.sleep(0.1)  # an alarm that was left behind would ring now
    print("printed")  # noqa: T201 captured
    umask = os.umask(0o077)
    os.umask(umask)
    found = {
        "cwd": os.getcwd(),  # noqa: PTH109 text
        "umask": umask,
        "handlers": [str(signal.getsignal(number)).partition(" of ")[0] for number in (2, 10, 14)],
        "sigterm is caught": callable(signal.getsignal(signal.SIGTERM)),
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "environment": sorted(set(os.environ) - {"CENTRAL_DISPATCH_ATTEMPT"}),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 numbers
        "limits": [resource.getrlimit(limit) for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)],
        "nice": os.nice(0),
        "recursion": sys.getrecursionlimit(),
        "gc": gc.isenabled(),
        "timeout": socket.getdefaulttimeout(),
    }
    return Done({"found": str(found)})


class Whim(BaseException):
    """What a library may raise past everybody."""


def _recurse() -> None:
    _recurse()


def _raise(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def _close_files() -> None:
    os.closerange(3, 256)


def _binary() -> None:
    os.write(1, b"\xff\xfe\x00\x80 not text \x00\x1b]0;title\x07\n")


def _exhaust() -> None:
    """Take memory until there is none, in small pieces, so that not even a report can be made with what is left."""
    kept: list[object] = []
    try:
        while True:
            kept.append(bytearray(1 << 12))
    finally:
        ctypes.pythonapi.PyErr_CheckSignals()


class Unspeakable(Exception):
    """Its own words fail."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


#: (what the handler does, what its error says)
ENDINGS: dict[str, tuple[Callable[[], object], str]] = {
    "keyboard interrupt": (_raise(KeyboardInterrupt()), "KeyboardInterrupt"),
    "generator exit": (_raise(GeneratorExit()), "GeneratorExit"),
    "cancelled": (_raise(asyncio.CancelledError()), "CancelledError"),
    "own base exception": (_raise(Whim("past everybody")), "Whim: past everybody"),
    "exception group": (_raise(BaseExceptionGroup("two", [KeyboardInterrupt()])), "two (1 sub-exception)"),
    "recursion": (_recurse, "RecursionError"),
    "unspeakable": (_raise(Unspeakable()), "Unspeakable"),
    "huge error": (_raise(LookupError("x" * 30_000_000)), "LookupError: xxxx"),
    "surrogates": (_raise(LookupError("a\udcffb\0c")), "LookupError: a\\udcffb\\0c"),
    "memory in small pieces": (_exhaust, "memory is exhausted"),
    "close files": (_close_files, "without an answer"),
}


def end(payload: Payload, _attempt: Attempt) -> Outcome:
    ENDINGS[payload["how"]][0]()
    return Done()


def return_odd(payload: Payload, attempt: Attempt) -> Outcome:  # noqa: PLR0911 a table of endings
    """Return what is no proper outcome, or only just one."""
    match payload["what"]:
        case "class":
            return Done  # type: ignore[return-value]  # the point
        case "nothing":
            return None  # type: ignore[return-value]  # the point
        case "nan":
            return Done({"n": float("nan")})
        case "surrogate":
            return Done({"text": "\udcff"})
        case "large":
            return Done({"text": "x" * 100_000})
        case "error of no text":
            return Failed(object())  # type: ignore[arg-type]  # the point
        case "long failure":
            return Failed("it broke: " + "x" * 200_000)
        case "odd progress":
            attempt.report(float("nan"), "x" * 100_000)
            attempt.report(1e400, "\udcff\0")
            attempt.report(-5, "below")
            return Done()
        case "binary output":
            _binary()
            return Done()
    raise AssertionError(payload)


def endless(_payload: Payload, _attempt: Attempt) -> Outcome:
    """Print without end, deaf to everything."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        os.write(1, b"y" * 4096)


def bulky(payload: Payload, _attempt: Attempt) -> Outcome:
    """Have something to write down that takes room."""
    time.sleep(payload["seconds"])
    return Done({"text": "x" * 60_000})


def tell(payload: Payload, attempt: Attempt) -> Outcome:
    """Give secrets away in every way."""
    attempt.report(50, f"using {payload['password']}")
    print("logging in with", payload["password"])  # noqa: T201 captured
    raise LookupError(f"ftp://anna:{payload['password']}@host refused {payload['password']}")


def poison(payload: Payload, attempt: Attempt) -> Outcome:
    """Kill what is above, as a handler with its parent's rights can."""
    server = os.getppid()
    with open(f"/proc/{server}/stat", encoding="ascii") as file:  # noqa: PTH123 short
        parent = int(file.read().rpartition(")")[2].split()[1])
    os.kill(parent if payload["whom"] == "parent" else server, signal.SIGKILL)
    time.sleep(600)
    return Done({"attempt": attempt.number})


def _kind(name: str, handler: str, **settings: Any) -> Kind:
    defaults = QueueSettings(
        **{"retry_delay_s": 0.1, "backoff": "fixed", "grace_s": 1.0, "max_attempts": 1, **settings}
    )
    return Kind(name=name, handler=f"queue_workers.messes:{handler}", says=name, defaults=defaults)


KINDS = {
    kind.name: kind
    for kind in (
        _kind("leave", "leave"),
        _kind("probe", "probe"),
        _kind("end", "end"),
        _kind("odd", "return_odd"),
        _kind("endless", "endless"),
        _kind("tell", "tell"),
        _kind("bulky", "bulky"),
        _kind("poison", "poison", max_attempts=3),
    )
}
