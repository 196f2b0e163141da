"""A directory with a real store and a real broker, and queue workers on it.

`Rig(directory, "postgresql", "rabbitmq")` has its tables on a server that all tests share, and a virtual host on such
a node; the directory's dispatcher.toml says so to the workers, as a dispatcher's does.
"""

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from central_dispatch.brokers import places as brokers
from central_dispatch.brokers.embedded import EmbeddedBroker
from central_dispatch.configuration import configuration_path, read_configuration
from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.ports import Broker
from central_dispatch.stores.places import driver_of
from central_dispatch.stores.server import ServerStore
from central_dispatch.stores.server import acts as acts_on_servers
from central_dispatch.stores.sqlite import SqliteStore, acts
from central_dispatch.stores.sqlite.times import to_text
from central_dispatch.worker import process_tree
from central_dispatch.worker.leftovers import MARK
from queue_workers.handlers import KINDS
from servers.job_databases import DatabaseServer, shared_server
from servers.rabbitmq import Node, shared_node

T = TypeVar("T")
TESTS = Path(__file__).parents[1]
PATIENCE_S = 60.0


def open_store(directory: Path) -> SqliteStore | ServerStore:
    """What the directory's dispatcher.toml names; without one SQLite's file in it."""
    database = read_configuration(directory).database
    if database.engine == "sqlite":
        return SqliteStore(directory / "dispatch.sqlite3", KINDS)
    return ServerStore(driver_of(database.engine), database, KINDS)


def open_broker(directory: Path) -> Broker:
    """What the directory's dispatcher.toml names; without one a directory of bells in it."""
    if read_configuration(directory).broker.kind == "rabbitmq":
        return brokers.open_broker(directory)
    return EmbeddedBroker(directory / "bells")


def eventually(look: Callable[[], T], what: str = "", patience_s: float = PATIENCE_S) -> T:
    """Wait until something is so; returns what was seen."""
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"never came: {what or look}")
        time.sleep(0.01)
    return found


def lives(pid: int) -> bool:
    seen = process_tree.look_at(pid)
    return seen is not None and seen.lives


@dataclass
class Worker:
    """One parent's process."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        return self.process.wait(PATIENCE_S)


@dataclass
class Rig:
    directory: Path
    store_name: str = "sqlite"
    broker_name: str = "embedded"
    workers: list[Worker] = field(default_factory=list)
    #: What workers find in their environment, and what they load before the first fork.
    environment: dict[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()
    node: Node | None = None  # of RabbitMQ; None: the one that all tests share
    server: DatabaseServer | None = None  # likewise
    through: Mapping[int, int] = field(default_factory=dict)  # ports that are reached through others: a proxy's

    def __post_init__(self) -> None:
        sections = []
        if self.store_name == "sqlite":
            (self.directory / "dispatch.sqlite3").touch()
        else:
            sections.append(self._database_section())
        if self.broker_name == "rabbitmq":
            node = self.node or shared_node()
            self.virtual_host = node.fresh_virtual_host()
            sections.append(node.toml(self.directory, self.virtual_host))
        if sections:
            write_configuration(self.directory, *map(self._through, sections))
        self.store = open_store(self.directory)
        self.make_tables()
        self.broker = open_broker(self.directory)

    def _database_section(self) -> str:
        if self.server is not None:
            name = f"jobs_{secrets.token_hex(4)}"
            self.server.make_database(name)
            return self.server.toml(name)
        from job_adapters import taken_database  # noqa: PLC0415 a worker's process imports this module, too

        self._database = taken_database(self.store_name)
        return shared_server(self.store_name).toml(self._database)

    def _through(self, section: str) -> str:
        for port, other in self.through.items():
            section = section.replace(f"port = {port}\n", f"port = {other}\n")
        return section

    def make_tables(self) -> None:
        """Make what the store lacks."""
        if isinstance(self.store, SqliteStore) or self.server is not None:
            self.store.create_tables()

    def start(
        self,
        *queues: str,
        slots: int = 4,
        until_empty: bool = False,
        timing: dict[str, float] | None = None,
        recycling: dict[str, int] | None = None,
        assignment: str = "",
    ) -> Worker:
        given = {
            "queues": queues,
            "slots": slots,
            "until_empty": until_empty,
            "timing": timing or {},
            "recycling": recycling or {},
            "assignment": assignment,
            "prepare": self.prepare,
        }
        log = self.directory / f"worker-{len(self.workers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "queue_workers.parent_main", str(self.directory), json.dumps(given)],
                env={**os.environ, **self.environment, "PYTHONPATH": str(TESTS)},
                stdout=file,
                stderr=file,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    def enqueue(self, kind: str, count: int = 1, **payload: Any) -> list[int]:
        made = self.store.enqueue([NewJob(kind=kind, payload=payload)] * count, datetime.now(UTC))
        self.broker.ring([kind])
        return [job for job in made if job is not None]

    def interrupt(self, job: int, by: str = "anna") -> None:
        if isinstance(self.store, SqliteStore):
            with self.store._connections.writing() as connection:
                acts.interrupt(connection, job, by, "", datetime.now(UTC))
        else:
            self.store._connections.write(
                lambda session: acts_on_servers.interrupt(session, job, by, "", datetime.now(UTC))
            )
        self.broker.call(KINDS)

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """The rows of a statement with `?`; times as text, on every store."""
        if not isinstance(self.store, SqliteStore):
            return self._rows_of_server(sql.replace("?", "%s"), values)
        connection = sqlite3.connect(self.directory / "dispatch.sqlite3", timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()

    def _rows_of_server(self, sql: str, values: tuple[object, ...]) -> list[dict[str, Any]]:
        from job_adapters import select  # noqa: PLC0415 as above

        assert isinstance(self.store, ServerStore)
        found = self.store._connections.read(lambda session: select(session, sql, *values))
        return [
            {name: to_text(value) if isinstance(value, datetime) else value for name, value in row.items()}
            for row in found
        ]

    def job(self, job: int) -> dict[str, Any]:
        return self.rows("SELECT * FROM job WHERE id = ?", job)[0]

    def attempts(self, job: int) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM job_attempt WHERE job = ? ORDER BY id", job)

    def states(self) -> dict[str, int]:
        return {row["state"]: row["n"] for row in self.rows("SELECT state, count(*) AS n FROM job GROUP BY state")}

    def until_state(self, job: int, *states: str) -> dict[str, Any]:
        return eventually(
            lambda: found if (found := self.job(job))["state"] in states else None, f"job {job} in {states}"
        )

    def until_running(self, jobs: Collection[int]) -> None:
        eventually(lambda: all(self.job(job)["state"] == "running" for job in jobs), "all are running")

    def run_empty(self, *queues: str, **options: Any) -> None:
        """Run a worker until nothing is due."""
        worker = self.start(*queues, until_empty=True, **options)
        assert worker.ended() == 0, worker.log.read_text(encoding="utf-8")[-3000:]

    def marked(self) -> list[int]:
        """Return the living processes below any fork server of this rig."""
        end = f"{self.directory}/work"
        marks = ((pid, process_tree.environment(pid).get(MARK, "")) for pid in process_tree.every_pid())
        return [pid for pid, mark in marks if mark.endswith(end) and lives(pid)]

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.process.kill()
            worker.ended()
        eventually(lambda: not self.marked(), "no process is left")
        self.broker.close()
        self.store.close()
        if self.store_name != "sqlite" and self.server is None:
            from job_adapters import give_back  # noqa: PLC0415 as above

            give_back(self.store_name, self._database)


def write_configuration(directory: Path, *sections: str) -> None:
    """Write the directory's dispatcher.toml."""
    path = configuration_path(directory)
    path.touch(mode=0o600)
    path.write_text("\n".join(sections), encoding="utf-8")
