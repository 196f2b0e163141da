"""The parent's side of its children: a fork server and a fixed number of warm children, none of them waited for."""

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from central_dispatch.worker import frames, process_tree
from central_dispatch.worker.leftovers import MARK
from central_dispatch.worker.messages import Start, say

_log = logging.getLogger(__name__)
_PIPE = 1 << 16
#: A fork server that ended sooner than this after its start is not started again at once, in seconds.
_STEADY_S = 5.0
_END_STEPS = 400


class Broken(Exception):
    """The fork server cannot prepare itself: no job can run. Carries its traceback."""


@dataclass(eq=False, slots=True)
class Child:
    """One slot's process. `busy` while it has a job."""

    slot: int
    channel: frames.Channel
    output: int
    pid: int = 0
    busy: bool = False
    used: bool = False  # it had a job once
    leaving: bool = False  # it said that it ends after this job, or it is being ended

    def drain(self) -> bytes | None:
        """Return what was printed and not read yet, at most one pipe full; None: nothing now; empty: the end."""
        with suppress(BlockingIOError):
            return os.read(self.output, _PIPE)
        return None


@dataclass(frozen=True, slots=True)
class Gone:
    """A child has ended and nothing of it is left; `unbegun`: it never was a process, so its job never ran."""

    child: Child
    how: str
    parent_stopped: bool = False
    unbegun: bool = False


@dataclass(slots=True)
class _Server:
    process: "subprocess.Popen[bytes]"
    control: socket.socket
    started: float
    ready: bool = False
    unsent: list[tuple[dict[str, Any], tuple[int, ...]]] = field(default_factory=list)


class Children:
    """Keeps `slots` children; where that has become less, the last ones end when they are idle.

    The main loop registers what `watch` and `forget` are given with its selector.
    """

    def __init__(
        self, slots: int, start: Start, environment: dict[str, str], directory: Path, selector: selectors.BaseSelector
    ) -> None:
        self.slots = slots
        self._start = start
        self._environment = environment
        self._directory = directory
        self._selector = selector
        self._children: dict[int, Child] = {}  # by slot
        self._server: _Server | None = None
        self._restart_at = 0.0
        self._not_before: dict[int, float] = {}

    def keep(self) -> None:
        """Start what is missing: the server, and a child in every slot."""
        if self._server is None:
            if time.monotonic() < self._restart_at:
                return
            self._start_server()
        self._flush()
        now = time.monotonic()
        for slot in range(self.slots):
            if slot not in self._children and now >= self._not_before.get(slot, 0.0):
                self._start_child(slot)
        for child in list(self._children.values()):
            if child.slot >= self.slots and child.pid and not (child.busy or child.leaving):
                self.kill(child)

    def idle(self) -> Iterator[Child]:
        """Return the children that can take a job now; one that still starts takes it as soon as it is there."""
        return (
            child for child in self._children.values()
            if child.slot < self.slots and not child.busy and not child.leaving
        )  # fmt: skip

    @property
    def busy(self) -> int:
        """Return how many have a job. From any thread."""
        return sum(child.busy for child in list(self._children.values()))

    @property
    def pids(self) -> list[int]:
        """Return their processes. From any thread."""
        return [child.pid for child in list(self._children.values()) if child.pid]

    def give(self, child: Child, order: dict[str, Any]) -> None:
        """Have an idle child run a job."""
        child.busy = child.used = True
        self.say(child, order)

    def say(self, child: Child, message: dict[str, Any]) -> None:
        """Tell a child something, now or when it can take it."""
        child.channel.send(message)
        self.wants_write(child)

    def wants_write(self, child: Child) -> None:
        """Listen for the moment when the child takes more, as long as something waits for it."""
        if child.channel.ended:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.channel.has_unsent else 0)
        if self._selector.get_key(child.channel.fileno()).events != events:
            self._selector.modify(child.channel.fileno(), events, (child, "channel"))

    def terminate(self, child: Child) -> None:
        """Send SIGTERM to the job: the child and everything below it."""
        self._order({"terminate": child.pid})

    def kill(self, child: Child) -> None:
        """End a child's whole tree; `Gone` follows when nothing of it is left."""
        child.leaving = True
        self._order({"kill": child.pid})

    def heed(self) -> list[Gone]:
        """Take what the fork server says; raises `Broken`. To be called when its socket can be read."""
        gone: list[Gone] = []
        server = self._server
        while server is not None:
            try:
                packet = server.control.recv(_PIPE)
            except BlockingIOError:
                return gone
            except OSError:
                packet = b""
            if not packet:
                return gone + self._lose_server()
            gone += self._hear(server, json.loads(packet))
        return gone

    def has(self, child: Child) -> bool:
        """Say whether the child was not forgotten yet: its descriptors may be another child's by now."""
        return self._children.get(child.slot) is child

    def forget(self, child: Child) -> None:
        """Close what belongs to a child that has ended, after its last words were read."""
        if self.has(child):
            if not child.used:
                # It could not even begin: trying again at once would only heat the machine.
                self._not_before[child.slot] = time.monotonic() + 1.0
            del self._children[child.slot]
            for end in (child.channel.fileno(), child.output):
                with suppress(KeyError):
                    self._selector.unregister(end)
            child.channel.close()
            os.close(child.output)

    def close(self) -> None:
        """End all children and the fork server; returns when nothing is left of them."""
        server, self._server = self._server, None
        if server is not None:
            self._selector.unregister(server.control)
            server.control.close()
            try:
                server.process.wait(10)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
        _end_adopted(self._environment[MARK])
        for child in list(self._children.values()):
            self.forget(child)

    def _start_server(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)  # noqa: FBT003 the name says it
        with theirs:
            start = Start(theirs.fileno(), self._start.stopped_s, self._start.prepare, self._start.rules)
            process = subprocess.Popen(
                # -P: what lies in a current directory is never imported.
                [sys.executable, "-P", "-m", "central_dispatch.worker.fork_server", *start.to_argv()],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                pass_fds=[theirs.fileno()],
                env=self._environment,
                start_new_session=True,
            )
        self._server = _Server(process, ours, time.monotonic())
        self._selector.register(ours, selectors.EVENT_READ, self)

    def _start_child(self, slot: int) -> None:
        ours, theirs = socket.socketpair()
        output, printing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(output, False)
        child = Child(slot, frames.Channel(ours), output)
        self._children[slot] = child
        self._selector.register(child.channel.fileno(), selectors.EVENT_READ, (child, "channel"))
        self._selector.register(output, selectors.EVENT_READ, (child, "output"))
        with theirs:
            self._order({"start": slot}, theirs.detach(), printing)

    def _order(self, message: dict[str, Any], *descriptors: int) -> None:
        if self._server is None:
            for descriptor in descriptors:
                os.close(descriptor)
            return
        self._server.unsent.append((message, descriptors))
        self._flush()

    def _flush(self) -> None:
        server = self._server
        while server is not None and server.unsent:
            message, descriptors = server.unsent[0]
            try:
                say(server.control, message, descriptors)
            except BlockingIOError:
                return
            except OSError:
                pass  # it has ended: its socket says so next
            for descriptor in descriptors:
                os.close(descriptor)
            server.unsent.pop(0)

    def _hear(self, server: _Server, message: dict[str, Any]) -> list[Gone]:
        match message:
            case {"ready": int()}:
                server.ready = True
            case {"broken": str(text)}:
                raise Broken(text)
            case {"started": int(slot), "pid": int(pid)}:
                self._children[slot].pid = pid
            case {"refused": int(slot), "why": str(why)}:
                _log.warning("cannot make a process: %s", why)
                return [self._unbegun(self._children[slot], f"no process could be made for it: {why}")]
            case {"ended": int(pid), "status": int(status), "stopped": bool(stopped)}:
                found = [child for child in self._children.values() if child.pid == pid]
                return [Gone(child, how_ended(status), stopped) for child in found]
        return []

    def _lose_server(self) -> list[Gone]:
        server, self._server = self._server, None
        if server is None:
            return []
        self._selector.unregister(server.control)
        server.control.close()
        for _, descriptors in server.unsent:
            for descriptor in descriptors:
                os.close(descriptor)
        server.process.kill()
        code = server.process.wait()
        _end_adopted(self._environment[MARK])
        now = time.monotonic()
        self._restart_at = now if now - server.started > _STEADY_S else now + 1.0
        _log.error("the fork server ended with %s; it is started again", code)
        how = "the fork server ended, and its children with it"
        return [Gone(child, how) if child.pid else self._unbegun(child, how) for child in self._children.values()]

    @staticmethod
    def _unbegun(child: Child, how: str) -> Gone:
        child.used = False  # it was given a job at most, so the next one is not made at once
        return Gone(child, how, unbegun=True)


def how_ended(status: int) -> str:
    """Say how a process ended, from its wait status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        hint = " (was the memory exhausted?)" if number == signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with exit code {os.WEXITSTATUS(status)} and without an answer"


def _end_adopted(mark: str) -> None:
    """End what came to us when the fork server died: this process is a subreaper, too."""
    for _ in range(_END_STEPS):
        by_parent = process_tree.snapshot()
        found = [_end_if_marked(seen, mark, by_parent) for seen in by_parent.get(os.getpid(), [])]
        while _reap_one():
            pass
        if not any(found):
            return
        time.sleep(0.005)


def _end_if_marked(seen: process_tree.Seen, mark: str, by_parent: dict[int, list[process_tree.Seen]]) -> bool:
    """End a process with our mark, and all below it; false where it surely is none of ours.

    Only what carries our mark: a caller of this code may have children of its own.
    """
    environment = process_tree.environment(seen.pid)
    if environment.get(MARK) == mark:
        process_tree.kill_all([seen, *process_tree.below(seen.pid, by_parent)])
        return True
    # One that is about to end has no environment any more, and what is below it comes to us only when it has ended.
    return not environment


def _reap_one() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False
