"""Does harm to running queue workers and to what they stand on, at random and on purpose."""

import fcntl
import os
import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from central_dispatch.stores.gate import gate_path
from central_dispatch.worker import process_tree
from queue_workers.rig import Rig, Worker
from servers.job_databases import DatabaseServer
from servers.rabbitmq import Node
from servers.tcp_proxy import TcpProxy

#: Does its harm and returns what heals it, or None where nothing is to be healed.
Harm = Callable[[], Callable[[], None] | None]
#: Times that let a fault and its mending happen within a test.
QUICK = {"beat_s": 0.2, "lease_s": 2.0, "stopped_s": 1.0, "look_s": 0.3, "store_down_s": 0.2}
_WORKERS = 2


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
        self.workers = [self._start() for _ in range(_WORKERS)]

    def harm(self) -> None:
        """Do one more."""
        self.heal()
        # Each in turn in a shuffled order: a short run, too, has some of everything.
        least = min(self.done[name] for name in self._harms)
        name = self._luck.choice([name for name in self._harms if self.done[name] == least])
        self.done[name] += 1
        self._heal = self._harms[name]()

    def heal(self) -> None:
        """Take the last harm away, as far as it can be."""
        heal, self._heal = self._heal, None
        if heal:
            heal()

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
        return self._luck.randrange(len(self.workers))

    def _kill_parent(self) -> None:
        place = self._victim()
        self.workers[place].signal(signal.SIGKILL)
        self.workers[place].ended()
        self.workers[place] = self._start()

    def _kill_child(self) -> None:
        servers = children_of(self.workers[self._victim()].process.pid)
        if children := [child for server in servers for child in children_of(server)]:
            process_tree.send(self._luck.choice(children), signal.SIGKILL)

    def _kill_server(self) -> None:
        for server in children_of(self.workers[self._victim()].process.pid):
            process_tree.send(server, signal.SIGKILL)

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
            taken.wait(30)
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
        for session in server.sessions():
            server.cut(session)

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
        proxy.cut()

    return harm


def lost_way(proxy: TcpProxy) -> Harm:
    """Let connections stand, and nothing get through."""

    def harm() -> Callable[[], None]:
        proxy.hold()
        return proxy.release

    return harm
