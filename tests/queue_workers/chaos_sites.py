"""Where a chaos run takes place: each combination of broker and database, and what can happen to them there."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from queue_workers.nemesis import (
    Harm,
    cut_connections,
    ended_sessions,
    full_disk,
    killed_broker,
    killed_database,
    locked_file,
    lost_way,
)
from queue_workers.rig import Rig
from servers.job_databases import started
from servers.rabbitmq import Node
from servers.tcp_proxy import TcpProxy

Site = tuple[Rig, Mapping[str, Harm]]
_MOUNT_MIB = 512


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """Mount a small file system in memory at `place`, which only root can: one that may be filled."""
    options = f"size={_MOUNT_MIB}m,mode=700"
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", "-l", str(place)], check=True)


@contextmanager
def embedded_sqlite(place: Path) -> Iterator[Site]:
    """SQLite's server is its file: it can be locked by another, and its disk can be full."""
    home = place / "home"
    home.mkdir()
    with small_disk(home):
        rig = Rig(home)
        try:
            yield rig, {"database locked": locked_file(home / "dispatch.sqlite3"), "disk full": full_disk(home)}
        finally:
            rig.close()


def rabbitmq_and(engine: str) -> Callable[[Path], AbstractContextManager[Site]]:
    """Return what makes a site on RabbitMQ and a database server, each of its own and behind a proxy."""

    @contextmanager
    def made(place: Path) -> Iterator[Site]:
        with ExitStack() as stack:
            server = started(engine, place, durable=True)
            stack.callback(server.stop)
            node = stack.enter_context(Node(place / "rabbitmq"))
            database, broker = TcpProxy(server.port), TcpProxy(node.port)
            stack.callback(database.close)
            stack.callback(broker.close)
            home = place / "home"
            home.mkdir(mode=0o700)
            through = {server.port: database.port, node.port: broker.port}
            rig = Rig(home, engine, "rabbitmq", node=node, server=server, through=through)
            stack.callback(rig.close)
            yield (
                rig,
                {
                    "database killed": killed_database(server),
                    "database sessions ended": ended_sessions(server),
                    "database connections cut": cut_connections(database),
                    "database lost its way": lost_way(database),
                    "broker killed": killed_broker(node),
                    "broker connections cut": cut_connections(broker),
                    "broker lost its way": lost_way(broker),
                },
            )

    return made


COMBINATIONS: dict[str, Callable[[Path], AbstractContextManager[Site]]] = {
    "embedded+sqlite": embedded_sqlite,
    "rabbitmq+postgresql": rabbitmq_and("postgresql"),
    "rabbitmq+mariadb": rabbitmq_and("mariadb"),
}
