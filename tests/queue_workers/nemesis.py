"""Does harm to running queue workers and to what they stand on, at random and on purpose.

Only harm that met something is counted: a harm that finds no victim raises `Missed`, and another one is done.
"""

import fcntl
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from central_dispatch.stores.gate import gate_path
from central_dispatch.worker import process_tree
from queue_workers.rig import Rig, Worker, eventually
from servers.job_databases import DatabaseServer
from servers.rabbitmq import Node
from servers.tcp_proxy import TcpProxy

#: Does its harm and returns what heals it, or None where nothing is to be healed. `Missed`: it found no victim.
Harm = Callable[[], Callable[[], None] | None]
#: Times that let a fault and its mending happen within a test.
QUICK = {"beat_s": 0.2, "lease_s": 2.0, "stopped_s": 1.0, "look_s": 0.3, "store_down_s": 0.2}
_WORKERS = 2
#: How long a harm waits for a victim before another one is done: what was healed just now has to come back first.
MEETS_S = 10.0
_AT_WORK = """SELECT 1 FROM job JOIN job_parent ON job_parent.id = job.parent
WHERE job.state = 'running' AND job_parent.pid = ? LIMIT 1"""


class Missed(Exception):
    """There was nothing to harm."""


def children_of(pid: int) -> list[int]:
    return [seen.pid for seen in process_tree.snapshot().get(pid, []) if seen.lives]


class Nemesis:
    """One harm at a time; before the next one it heals the last. What it killed it starts again, as a service does."""

    def __init__(self, rig: Rig, luck: random.Random, more: Mapping[str, Harm], *, few: bool) -> None:
        """`more`: harms to the database and to the broker, by name. `few`: these, and of our own only the kill."""
        self._rig = rig
        self._luck = luck
        self._heal: Callable[[], None] | None = None
        own: dict[str, Harm] = {
            "parent killed": self._kill_parent,
            "child killed": self._kill_child,
            "child killed too": self._kill_child,
            "fork server killed": self._kill_server,
            "parent stopped": self._stop_parent,
            "drained": self._drain,
        }
        self._harms = {**({"parent killed": self._kill_parent} if few else own), **more}
        self.done: Counter[str] = Counter()
        self._lasts_until = 0.0
        self.workers = [self._start() for _ in range(_WORKERS)]

    def harm(self, lasts_s: float) -> None:
        """Do one more, which lasts so long if there is something to heal."""
        self.heal()
        for name in self._in_turn():
            if self._met(name):
                self.done[name] += 1
                self._lasts_until = time.monotonic() + lasts_s
                return
        raise AssertionError("nothing is left to be harmed")

    def kill_at_work(self) -> None:
        """Kill a parent that has jobs for sure: it is stopped before one looks, so it settles none of them any more."""
        self.heal()
        [place] = eventually(self._stopped_at_work, "a parent has jobs")
        self._kill_parent_at(place)
        self.done["parent killed"] += 1

    def heal(self) -> None:
        """Take the last harm away, as far as it can be, once its time is over."""
        heal, self._heal = self._heal, None
        if heal:
            time.sleep(max(0.0, self._lasts_until - time.monotonic()))
            heal()

    def _in_turn(self) -> list[str]:
        """Each in turn in a shuffled order: a short run, too, has some of everything."""
        names = list(self._harms)
        self._luck.shuffle(names)
        return sorted(names, key=lambda name: self.done[name])

    def _met(self, name: str) -> bool:
        deadline = time.monotonic() + MEETS_S
        while time.monotonic() < deadline:
            try:
                self._heal = self._harms[name]()
            except Missed:
                time.sleep(0.02)
            else:
                return True
        return False

    def end(self) -> None:
        """Tell all workers to drain, and wait for them."""
        self.heal()
        for worker in self._rig.workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGTERM)
        for worker in self._rig.workers:
            worker.ended()

    def _start(self) -> Worker:
        return self._rig.start("chaos", slots=4, timing=QUICK)

    def _victim(self) -> int:
        place = self._luck.randrange(len(self.workers))
        if self.workers[place].process.poll() is not None:
            self.workers[place] = self._start()  # it ended by itself: whoever keeps it starts it again
            raise Missed
        return place

    def _stopped_at_work(self) -> list[int]:
        for place, worker in enumerate(self.workers):
            worker.signal(signal.SIGSTOP)
            if self._rig.rows(_AT_WORK, worker.process.pid):
                return [place]
            worker.signal(signal.SIGCONT)
        return []

    def _kill_parent(self) -> None:
        self._kill_parent_at(self._victim())

    def _kill_parent_at(self, place: int) -> None:
        self.workers[place].signal(signal.SIGKILL)
        self.workers[place].ended()
        self.workers[place] = self._start()

    def _kill_child(self) -> None:
        servers = children_of(self.workers[self._victim()].process.pid)
        self._kill([child for server in servers for child in children_of(server)])

    def _kill_server(self) -> None:
        self._kill(children_of(self.workers[self._victim()].process.pid))

    def _kill(self, found: list[int]) -> None:
        """Kill one of these."""
        try:
            os.kill(self._luck.choice(found), signal.SIGKILL)
        except (IndexError, ProcessLookupError):
            raise Missed from None

    def _stop_parent(self) -> Callable[[], None]:
        worker = self.workers[self._victim()]
        worker.signal(signal.SIGSTOP)
        return lambda: worker.signal(signal.SIGCONT)

    def _drain(self) -> None:
        place = self._victim()
        self.workers[place].signal(signal.SIGTERM)
        self.workers[place] = self._start()


def locked_file(database: Path) -> Harm:
    """Hold SQLite's write lock, and the gate before it, as somebody's backup script may: nobody can write."""

    def harm() -> Callable[[], None]:
        gate = os.open(gate_path(database), os.O_RDWR | os.O_CLOEXEC)
        taken, over = threading.Event(), threading.Event()

        def hold() -> None:
            # In a thread of its own: the lock may have to be waited for, and harm must not wait.
            fcntl.flock(gate, fcntl.LOCK_EX)
            connection = sqlite3.connect(database, isolation_level=None, timeout=30)
            try:
                connection.execute("BEGIN IMMEDIATE")
                taken.set()
                over.wait()
                connection.execute("ROLLBACK")
            finally:
                connection.close()
                os.close(gate)

        holder = threading.Thread(target=hold)
        holder.start()

        def heal() -> None:
            assert taken.wait(60), "the lock was never had"
            over.set()
            holder.join()

        return heal

    return harm


def full_disk(place: Path) -> Harm:
    """Fill the file system that holds `place`, to the last byte. It should be a small one of its own."""

    def harm() -> Callable[[], None]:
        filler = place / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while file.write(b"\0" * size) == size:
                        pass
        return filler.unlink

    return harm


def killed_database(server: DatabaseServer) -> Harm:
    """Kill a database server as a machine's fall does; it is started again, and recovers, when it is healed."""

    def harm() -> Callable[[], None]:
        server.stop(signal.SIGKILL)
        return server.start

    return harm


def ended_sessions(server: DatabaseServer) -> Harm:
    """End all connections from the server's side, whatever they are in the middle of."""

    def harm() -> None:
        sessions = server.sessions()
        for session in sessions:
            server.cut(session)
        if not sessions:
            raise Missed

    return harm


def killed_broker(node: Node) -> Harm:
    """Kill RabbitMQ, likewise."""

    def harm() -> Callable[[], None]:
        node.kill()
        return node.start

    return harm


def cut_connections(proxy: TcpProxy) -> Harm:
    """Reset all connections."""

    def harm() -> None:
        if not proxy.cut():
            raise Missed

    return harm


def lost_way(proxy: TcpProxy) -> Harm:
    """Let connections stand, and nothing get through."""

    def harm() -> Callable[[], None]:
        proxy.hold()
        return proxy.release

    return harm
