"""A child: takes one job after the other from its parent, runs the handler, answers. Nothing here touches the queue.

It is a session and a process group of its own and a subreaper: whatever a handler leaves behind is below it, is
ended before the answer goes out, and does not live longer than the job.
"""

import faulthandler
import gc
import math
import os
import resource
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from central_dispatch.jobs import lock as locks
from central_dispatch.jobs.job import MAX_WORDS
from central_dispatch.jobs.outcome import Crashed, Deferred
from central_dispatch.worker import answers, frames, process_tree, ringing
from central_dispatch.worker.calling import LazyAttempt, call, last_line, print_traceback
from central_dispatch.worker.cuts import shown_start
from central_dispatch.worker.messages import Rules
from central_dispatch.worker.process_state import ProcessState

ATTEMPT = "CENTRAL_DISPATCH_ATTEMPT"
#: How long a child waits for its killed descendants to be gone before it ends itself, in seconds.
_CLEAN_S = 5.0
#: A handler may report as often as it likes; the parent hears of it so often, in seconds.
_REPORT_S = 0.05
#: How often a handler that waits for a lock looks whether another of its threads has read the answer, in seconds.
_LOCK_LOOK_S = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Terminated(BaseException):
    """SIGTERM came while a handler ran: it unwinds, so that its `finally` clauses work."""


def become_child(channel: socket.socket, output: int, rules: Rules, server: int) -> NoReturn:
    """Turn the process that was just forked into a child, and serve until the parent closes the channel."""
    os.setsid()
    process_tree.die_with_parent(signal.SIGKILL, server)
    process_tree.become_subreaper()
    _redirect(output)
    _bound_memory(rules.limit_bytes)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    faulthandler.enable(file=2)
    gc.enable()
    child = Child(channel, rules)
    child.serve()
    os._exit(0)


class Child:
    """One process, one job at a time."""

    def __init__(self, channel: socket.socket, rules: Rules) -> None:
        self._channel = channel
        self._decoder = frames.Decoder()
        self._orders: list[dict[str, Any]] = []
        self._rules = rules
        self._handling = False
        self._stopping = False
        self._lock = threading.Lock()  # a handler's threads may report and ask, too
        self._running: tuple[int, int] = (0, 0)  # job and fence
        self._secrets: Sequence[str] = ()  # its payload's
        self._wishes = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._stops: set[tuple[int, int]] = set()
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._jobs = 0
        self._reported = 0.0

    def serve(self) -> None:
        """Run jobs until the channel is closed or this process is used up."""
        signal.signal(signal.SIGTERM, self._terminated)
        self._state = ProcessState(os.getcwd())  # noqa: PTH109 the fork server's: the work directory
        ringing.ring_through(lambda act, queues: self._say({act: queues}))
        while (order := self._next()) is not None:
            answer = self._run(order)
            self._jobs += 1
            used_up = self._is_used_up() or answer.pop("spent", False)
            self._say({"answer": answer, "job": order["job"], "fence": order["fence"], "recycle": used_up})
            if used_up:
                return

    def _next(self) -> dict[str, Any] | None:
        while not self._orders:
            piece = self._channel.recv(1 << 18)
            if not piece:
                return None
            self._take_in(piece)
        return self._orders.pop(0)

    def _take_in(self, piece: bytes) -> None:
        for message in self._decoder.feed(piece):
            if "stop" in message:
                # It may come together with its order, or after the answer: it names the execution that it is for.
                self._stops.add((message["job"], message["fence"]))
            elif "locked" in message:
                self._answers[message["locked"]] = message
            else:
                self._orders.append(message)

    def _run(self, order: dict[str, Any]) -> dict[str, Any]:
        directory = Path(order["directory"])
        self._stopping = False
        self._running = order["job"], order["fence"]
        self._secrets = order.get("secrets", ())
        self._answers.clear()
        os.environ[ATTEMPT] = f"{order['job']}/{order['fence']}"
        attempt = LazyAttempt(
            order["job"], order["fence"], order["number"], directory, self._report, self._asks_to_stop, self._take_locks
        )
        answer = self._handle(order["handler"], order["payload"], attempt)
        spent = self._clean_up(directory if attempt.is_made else None)
        self._stops.discard(self._running)
        return answer | {"spent": spent or answer.get("outcome") == "crashed"}

    def _handle(self, handler: str, payload: Mapping[str, Any], attempt: LazyAttempt) -> dict[str, Any]:
        answer: dict[str, Any] | None = None
        try:
            try:
                self._handling = True
                answer = call(handler, payload, attempt, self._secrets)
            finally:
                self._handling = False
        except Terminated:
            # It may have come after the answer was there, in the moment before `_handling` became false.
            answer = answer or answers.to_json(Crashed("ended by SIGTERM"))
        except BaseException as error:  # noqa: BLE001 KeyboardInterrupt, GeneratorExit, a library's own
            print_traceback(self._secrets)
            answer = answers.to_json(Crashed(f"the handler raised {last_line(error, self._secrets)}"))
        return answer

    def _clean_up(self, directory: Path | None) -> bool:
        """Undo what the handler left in this process and below it; true where that takes a fresh process."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        spent = not _end_descendants()
        os.environ.pop(ATTEMPT, None)
        _leave_database()
        self._state.put_right()
        if directory is not None:
            remove(directory)
        return bool(self._state.spoiled()) or spent

    def _terminated(self, _number: int, _frame: FrameType | None) -> None:
        if self._handling:
            self._handling = False
            raise Terminated

    def _report(self, percent: float, words: str) -> None:
        now = time.monotonic()
        if now - self._reported < _REPORT_S and percent < 100:  # noqa: PLR2004 percent
            return
        self._reported = now
        number = float(percent)
        bounded = min(100.0, max(0.0, number)) if math.isfinite(number) else 0.0
        self._say({"percent": bounded, "words": shown_start(str(words), self._secrets, MAX_WORDS)})

    def _asks_to_stop(self) -> bool:
        with self._lock:
            self._listen()
            return self._stopping or self._running in self._stops

    def _take_locks(self, exclusive: Sequence[str] = (), shared: Sequence[str] = ()) -> Deferred | None:
        """Ask the parent, and wait for its answer. Where the fence is gone, it ends this process instead."""
        wanted = locks.wishes(exclusive, shared)
        if not wanted:
            return None
        with self._lock:
            self._wishes += 1
            number = self._wishes
        job, fence = self._running
        names = {
            "exclusive": [lock.resource for lock in wanted if not lock.shared],
            "shared": [lock.resource for lock in wanted if lock.shared],
        }
        self._say({"lock": number, "job": job, "fence": fence, **names})
        while True:
            select.select([self._channel], [], [], _LOCK_LOOK_S)
            with self._lock:
                if not self._listen():
                    return Deferred("the worker is gone that was to take its locks")
                if (answer := self._answers.pop(number, None)) is not None:
                    return Deferred(answer["why"], None, answer["waits_on"]) if answer["refused"] else None

    def _listen(self) -> bool:
        """Take in what the parent said meanwhile, without waiting; false where it is gone. Under the lock."""
        while select.select([self._channel], [], [], 0)[0]:
            piece = self._channel.recv(1 << 16)
            if not piece:
                # Nobody waits for what this job does.
                self._stopping = True
                return False
            self._take_in(piece)
        return True

    def _say(self, message: dict[str, Any]) -> None:
        with self._lock:
            try:
                self._channel.sendall(frames.encode(message))
            except (BrokenPipeError, ConnectionResetError):
                os._exit(0)

    def _is_used_up(self) -> bool:
        resident = int(os.pread(self._statm, 100, 0).split()[1]) * _PAGE
        return self._jobs >= self._rules.recycle_jobs or resident > self._rules.resident_bytes


def remove(directory: Path) -> None:
    """Remove an attempt's work directory, and its job's when that is empty then."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):
        directory.parent.rmdir()


def _end_descendants() -> bool:
    """End all that the handler left running; false where something does not go."""
    deadline = time.monotonic() + _CLEAN_S
    while _reap():
        if time.monotonic() > deadline:
            return False
        process_tree.kill_all(process_tree.below_now(os.getpid()))
        time.sleep(0.002)
    return True


def _reap() -> bool:
    """Take away ended descendants; false when none is left, which costs one call for a handler that left none."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _redirect(output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    for name in ("stdout", "stderr"):
        # Line by line: what was printed before a crash is in the history.
        setattr(sys, name, os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="backslashreplace"))


def _bound_memory(limit_bytes: int) -> None:
    bound = limit_bytes or os.sysconf("SC_PHYS_PAGES") * _PAGE
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    # Where the kernel must choose whom to kill, it is a job, not the parent and not the database.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _leave_database() -> None:
    """Close what a handler opened through Django: no transaction and no lock lives longer than its job."""
    database: Any = sys.modules.get("django.db")
    if database is None:
        return
    settled: Callable[..., None] = database.connections.close_all
    with suppress(Exception):
        settled()
