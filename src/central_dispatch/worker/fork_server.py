"""The fork server: one small single-threaded process that makes the children, signals them, and sees them end.

Own, not `multiprocessing`'s, because it must be the *subreaper* of its children (a killed job's double-forked
grandchild comes here and is ended here), must tell the parent how each child ended, must end every tree when
the parent is gone or stands stopped for too long, and must not swallow an error of the preloading.
"""

import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections import deque
from contextlib import suppress
from importlib import import_module
from typing import Any

from central_dispatch.worker import child, process_tree
from central_dispatch.worker.messages import Order, Start, read_order, say

#: Between two looks at trees that are being killed, in seconds, and how many looks a tree gets.
_KILL_STEP_S = 0.005
_KILL_STEPS = 400
_WATCH_S = 1.0
#: Children that are made in one turn.
_FORKS = 8


def main(argv: list[str]) -> int:
    """Preload, then serve the socket whose descriptor is given until the parent closes it."""
    start = Start.from_argv(argv)
    control = socket.socket(fileno=start.descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    process_tree.become_subreaper()
    try:
        _preload(start.prepare)
    except Exception:  # noqa: BLE001 whatever preloading raises is told to the parent, which ends with it
        say(control, {"broken": traceback.format_exc()[-8000:]})
        return 1
    gc.collect()
    gc.freeze()  # what is loaded now is never looked at again, and so stays shared between the children
    server = ForkServer(control, start)
    server.serve()
    return 0


def _preload(paths: tuple[str, ...]) -> None:
    for path in paths:
        module, _, name = path.partition(":")
        loaded = import_module(module)
        if name:
            getattr(loaded, name)()


class ForkServer:
    """Serves one parent."""

    def __init__(self, control: socket.socket, start: Start) -> None:
        self._control = control
        self._start = start
        self._parent = os.getppid()
        self._children: set[int] = set()
        self._starting: deque[tuple[int, list[int]]] = deque()
        self._terminating: set[int] = set()
        self._dying: dict[int, int] = {}  # pid → looks so far
        self._ended: list[dict[str, Any]] = []  # told once nothing of them is left
        self._outbox: deque[dict[str, Any]] = deque()
        self._orphan_looks = self._clean_looks = 0
        self._stopped_since: float | None = None
        self._watched_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def serve(self) -> None:
        """Serve until the parent is gone and everything below us is, too."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._control.setblocking(False)  # noqa: FBT003 the name says it
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._outbox.append({"ready": os.getpid()})
        while self._turn():
            pass
        self._end_all()

    def _turn(self) -> bool:
        self._send()
        busy = bool(self._dying or self._ended or self._outbox)
        wait_s = 0.0 if self._starting else _KILL_STEP_S if busy else _WATCH_S
        for key, _ in self._selector.select(wait_s):
            if key.fd == self._wake_read:
                with suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            elif not self._obey():
                return False
        self._reap()
        self._terminate()
        self._kill()
        self._start_children()
        self._watch_parent()
        return os.getppid() == self._parent

    def _obey(self) -> bool:
        """Take the orders that wait; false when the parent is gone."""
        while True:
            try:
                order = read_order(self._control)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if order is None:
                return False
            self._follow(order)

    def _follow(self, order: Order) -> None:
        match order.message:
            case {"start": int(slot)}:
                self._starting.append((slot, order.descriptors))
            case {"terminate": int(pid)} if pid in self._children:
                self._terminating.add(pid)
            case {"kill": int(pid)} if pid in self._children:
                self._dying.setdefault(pid, 0)

    def _start_children(self) -> None:
        """Fork some of what was asked for: between two turns, as ending and telling what ended come first."""
        for _ in range(min(len(self._starting), 1 if self._dying else _FORKS)):
            self._fork(*self._starting.popleft())

    def _fork(self, slot: int, descriptors: list[int]) -> None:
        channel, output = descriptors
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._outbox.append({"refused": slot, "why": error.strerror or str(error)})
            os.close(channel)
            os.close(output)
            return
        if pid == 0:
            self._become_child(channel, output, server)
        os.close(channel)
        os.close(output)
        self._children.add(pid)
        self._outbox.append({"started": slot, "pid": pid})

    def _become_child(self, channel: int, output: int, server: int) -> None:
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            self._selector.close()
            self._control.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            child.become_child(socket.socket(fileno=channel), output, self._start.rules, server)
        except BaseException:  # noqa: BLE001 nothing of a child may come back into the server's code
            with suppress(OSError, ValueError):
                traceback.print_exc(file=sys.stderr)
                sys.stderr.flush()
        finally:
            os._exit(code)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._children:
                self._children.discard(pid)
                self._dying.pop(pid, None)
                self._orphan_looks = self._clean_looks = 0
                self._ended.append({"ended": pid, "status": status, "stopped": self._stands_stopped()})

    def _terminate(self) -> None:
        """Send SIGTERM to what was asked for: one look at all processes for all trees, as there may be hundreds."""
        if not self._terminating:
            return
        by_parent = process_tree.snapshot()
        for pid in self._terminating & self._children:
            for seen in process_tree.below(pid, by_parent):
                process_tree.send(seen.pid, signal.SIGTERM)
            process_tree.send(pid, signal.SIGTERM)
        self._terminating.clear()

    def _kill(self) -> None:
        """One step of ending what is to be ended: trees below dying children, and orphans that came to us."""
        if self._dying:
            by_parent = process_tree.snapshot()
            for pid in list(self._dying):
                self._dying[pid] += 1
                process_tree.send(pid, signal.SIGSTOP)  # it stays, so that its descendants stay below it
                left = process_tree.kill_all(process_tree.below(pid, by_parent))
                if (not left and self._dying[pid] > 1) or self._dying[pid] > _KILL_STEPS:
                    process_tree.send(pid, signal.SIGKILL)
        if self._dying or self._ended:
            self._kill_orphans()

    def _kill_orphans(self) -> None:
        """End what came to us from children that ended, and tell of these once nothing was seen twice in a row.

        Twice, as the kernel's list may leave out a process while another one ends.
        """
        orphans = [seen for seen in process_tree.children_now(os.getpid()) if seen.pid not in self._children]
        left = sum(process_tree.kill_all([seen, *process_tree.below_now(seen.pid)]) for seen in orphans)
        self._orphan_looks += 1
        self._clean_looks = 0 if left else self._clean_looks + 1
        if self._clean_looks > 1 or self._orphan_looks > _KILL_STEPS:
            self._outbox += self._ended
            self._ended.clear()

    def _watch_parent(self) -> None:
        """Kill the children of a parent that stands stopped: others take its rows back soon."""
        now = time.monotonic()
        if now - self._watched_at < min(_WATCH_S, self._start.stopped_s / 4):
            return
        self._watched_at = now
        seen = process_tree.look_at(self._parent)
        if seen is None or seen.state not in process_tree.STOPPED:
            self._stopped_since = None
            return
        self._stopped_since = self._stopped_since or now
        if self._stands_stopped():
            for pid in self._children:
                self._dying.setdefault(pid, 0)

    def _stands_stopped(self) -> bool:
        since = self._stopped_since
        return since is not None and time.monotonic() - since >= self._start.stopped_s

    def _send(self) -> None:
        while self._outbox:
            try:
                say(self._control, self._outbox[0])
            except BlockingIOError:
                return
            except OSError:
                self._outbox.clear()
                return
            self._outbox.popleft()

    def _end_all(self) -> None:
        """End everything below us: the parent is gone."""
        for step in range(_KILL_STEPS * 4):
            self._reap()
            living = process_tree.kill_all(process_tree.below(os.getpid(), process_tree.snapshot()))
            if not living and not self._children and step:
                return
            time.sleep(_KILL_STEP_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
