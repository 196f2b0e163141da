"""Handlers of the tests: each does one thing that a handler may do, or must not."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from central_dispatch.jobs.handling import Attempt
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.outcome import Deferred, Done, Failed, Outcome, Released
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.worker import ringing
from queue_workers import messes

Payload = Mapping[str, Any]


def no_op(_payload: Payload, _attempt: Attempt) -> Outcome:
    return Done()


def ring(payload: Payload, _attempt: Attempt) -> Outcome:
    """Ring, as a handler's own enqueueing does after its commit."""
    ringing.tell("ring", [payload["queue"]])
    return Done()


def sleep(payload: Payload, attempt: Attempt) -> Outcome:
    """Sleep, deaf to everything but signals; leaves a line per execution in a file for the history."""
    if log := payload.get("log"):
        with Path(log).open("a", encoding="ascii") as file:
            file.write(f"{attempt.job} {attempt.fence} {os.getpid()}\n")
    time.sleep(payload["seconds"])
    return Done({"fence": attempt.fence})


def patient(payload: Payload, attempt: Attempt) -> Outcome:
    """Work until asked to stop, as a good handler does."""
    deadline = time.monotonic() + payload["seconds"]
    while time.monotonic() < deadline:
        if attempt.stopping():
            return Released()
        time.sleep(0.01)
    return Done()


def finishing(_payload: Payload, attempt: Attempt) -> Outcome:
    """Finish the work when asked to stop."""
    while not attempt.stopping():
        time.sleep(0.01)
    return Done({"finished": "in the grace time"})


def report(_payload: Payload, attempt: Attempt) -> Outcome:
    attempt.report(40, "four of ten")
    (attempt.directory / "draft").write_text("x", encoding="ascii")
    print("working in", attempt.directory, os.environ["CENTRAL_DISPATCH_ATTEMPT"])  # noqa: T201 captured
    time.sleep(1.2)
    return Done({"directory": str(attempt.directory)})


def telling(_payload: Payload, attempt: Attempt) -> Outcome:
    """Report, print and be done, so quickly that the parent hears all of it at once."""
    attempt.report(40, "nearly")
    print("told")  # noqa: T201 captured
    return Done()


def misbehave(payload: Payload, _attempt: Attempt) -> Outcome:  # noqa: C901 a table of endings
    """End in one of the ways that are no outcome."""
    match payload["how"]:
        case "raise":
            raise LookupError("the record is gone")
        case "exit":
            sys.exit(3)
        case "exit hard":
            os._exit(7)
        case "segfault":
            ctypes.string_at(0)
        case "memory":
            kept = [bytearray(8 << 20) for _ in range(10_000)]
            return Done({"kept": len(kept)})
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "nonsense":
            return "well"  # type: ignore[return-value]  # the point
        case "no json":
            return Done({"what": object()})
        case "fail":
            return Failed("this can never work", retryable=False)
        case "defer":
            return Deferred("the record is locked", 3600)
        case "unasked":
            return Released()
    raise AssertionError(payload)


def flood(payload: Payload, _attempt: Attempt) -> Outcome:
    line = b"x" * 1023 + b"\n"
    sys.stdout.write("the beginning\n")
    sys.stdout.flush()
    for _ in range(payload["kib"]):
        os.write(1, line)
    sys.stdout.write("the end\n")
    return Done()


#: A shell that ignores SIGTERM with a child that does, a double fork in a session of its own, and a plain child.
_TREE = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600 & sleep 600"])
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(600)
open(sys.argv[1], "w").close()
time.sleep(600)
"""


def tree(payload: Payload, _attempt: Attempt) -> Outcome:
    """Start a tree of processes that does not want to end, and wait for it, deaf to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.run([sys.executable, "-c", _TREE, payload["ready"]], check=True)
    return Done()


def litter(payload: Payload, _attempt: Attempt) -> Outcome:
    """Leave a tree running and return."""
    subprocess.Popen([sys.executable, "-c", _TREE, payload["ready"]])
    while not Path(payload["ready"]).exists():
        time.sleep(0.01)
    return Done()


def measure(payload: Payload, _attempt: Attempt) -> Outcome:
    """Say when the handler began."""
    return Done({"latency_s": time.time() - payload["at"], "pid": os.getpid()})


def chaos(payload: Payload, attempt: Attempt) -> Outcome:
    """Work as told, and write down what a checker needs: begin, end, and one effect, keyed by the job.

    The effect is looked for and then applied, as most code does it: it happens once only if no two executions of
    the job work at the same time.
    """
    log = Path(payload["log"])
    _write_down(log, "begin", attempt)
    if payload.get("defers") and attempt.fence & 0xFFFFFFFF == 1:
        return Deferred("as told", 0.05)
    if attempt.number <= payload.get("fails", 0):
        return Failed("as told")
    time.sleep(payload["seconds"])
    if payload.get("hopeless"):
        return Failed("as told, for good", retryable=False)
    part = Path(payload["effects"]) / str(attempt.job // 64)
    part.mkdir(exist_ok=True)
    if not any(name.startswith(f"{attempt.job}.") for name in os.listdir(part)):  # noqa: PTH208 names are enough
        (part / f"{attempt.job}.{attempt.fence}").touch()
    _write_down(log, "end", attempt)
    return Done()


def _write_down(log: Path, what: str, attempt: Attempt) -> None:
    line = f"{what} {attempt.job} {attempt.fence} {time.monotonic():.6f}\n"
    opened = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(opened, line.encode("ascii"))  # one write: lines of many processes do not mix
    finally:
        os.close(opened)


def tally(payload: Payload, _attempt: Attempt) -> Outcome:
    """Count itself in a file that somebody watches, after as long as told."""
    time.sleep(payload["seconds"])
    opened = os.open(os.environ["TALLY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(opened, b".")
    os.close(opened)
    return Done()


def locking(payload: Payload, attempt: Attempt) -> Outcome:
    """Take locks, and write down when one was inside; `gate`: a file to wait for before asking."""
    while "gate" in payload and not Path(payload["gate"]).exists():
        time.sleep(0.01)
    if refused := attempt.lock(payload.get("alone", []), payload.get("shared", [])):
        return refused
    _write(payload["log"], f"in {attempt.job}")
    deadline = time.monotonic() + payload.get("seconds", 0)
    while time.monotonic() < deadline and not attempt.stopping():
        time.sleep(0.005)
    _write(payload["log"], f"out {attempt.job}")
    return Released() if attempt.stopping() else Done()


def _write(path: str, line: str) -> None:
    with Path(path).open("a", encoding="ascii") as file:
        file.write(f"{line}\n")


def talk(payload: Payload, attempt: Attempt) -> Outcome:
    """Print a line, report, and wait for a file before the next one; fail in the first attempt if that is wished."""
    for number, gate in enumerate(payload["gates"]):
        print(f"attempt {attempt.number}, line {number}")  # noqa: T201 captured
        attempt.report(10.0 * number, f"step {number}")
        while not Path(gate).exists():
            time.sleep(0.01)
    return Failed("once more") if attempt.number <= payload.get("fails", 0) else Done({"well": True})


def failing(_payload: Payload, _attempt: Attempt) -> Outcome:
    return Failed("as told")


def deferring(_payload: Payload, _attempt: Attempt) -> Outcome:
    return Deferred("not now")


def limited(_payload: Payload, _attempt: Attempt) -> Outcome:
    """Take a while, so that who runs at the same time can be counted."""
    time.sleep(0.2)
    return Done()


def main_queue(payload: Payload, attempt: Attempt) -> Outcome:
    """Split a message into jobs of these kinds, as the product's handler does with its own."""
    from central_dispatch.handlers.main_queue import split  # noqa: PLC0415 only where Django is ready

    return split(payload, attempt, KINDS)


def mixed(payload: Payload, attempt: Attempt) -> Outcome:
    """A little of all that a handler does: prints, reports, has a directory, defers, fails once, gives a result."""
    match payload["number"] % 20:
        case 0:
            print("x" * 2000)  # noqa: T201 captured
        case 1:
            attempt.report(50, "half of it")
        case 2:
            (attempt.directory / "draft").write_text("x", encoding="ascii")
        case 3 if attempt.number == 1:
            return Failed("as told")
        case 4 if attempt.fence & 0xFFFFFFFF == 1:
            return Deferred("as told", 0.1)
        case 5:
            return Done({"number": payload["number"], "words": "w" * 200})
    return Done()


def _kind(name: str, **settings: Any) -> Kind:
    defaults = QueueSettings(**{"retry_delay_s": 0.1, "backoff": "fixed", "grace_s": 1.0, **settings})
    return Kind(name=name, handler=f"queue_workers.handlers:{name.replace('-', '_')}", says=name, defaults=defaults)


KINDS = {
    kind.name: kind
    for kind in (
        _kind("no-op"),
        _kind("ring"),
        _kind("sleep", max_attempts=1000),
        _kind("patient"),
        _kind("finishing"),
        _kind("report"),
        _kind("telling"),
        _kind("misbehave", max_attempts=1),
        _kind("flood"),
        _kind("tree"),
        _kind("litter"),
        _kind("measure"),
        _kind("main-queue", max_attempts=1000),
        _kind("locking", deferral_delay_s=300.0),
        _kind("talk"),
        _kind("chaos", max_attempts=1000),
        _kind("tally"),
        _kind("mixed"),
        Kind(
            name="transcode",
            handler="queue_workers.transcoding:transcode",
            says="transcode",
            defaults=QueueSettings(grace_s=1.0),
        ),
        _kind("failing", max_attempts=1000),
        _kind("deferring"),
        _kind("limited"),
    )
} | messes.KINDS
if VERSION := os.environ.get("QUEUE_WORKERS_VERSION"):  # a later release of the product, whose payloads are newer
    KINDS = {name: replace(kind, payload_version=int(VERSION)) for name, kind in KINDS.items()}
