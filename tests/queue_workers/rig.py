"""A directory with a real store and a real broker, and queue workers on it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from central_dispatch.brokers.embedded import EmbeddedBroker
from central_dispatch.jobs.job import NewJob
from central_dispatch.stores.sqlite import SqliteStore, acts
from central_dispatch.worker import process_tree
from central_dispatch.worker.leftovers import MARK
from queue_workers.handlers import KINDS

T = TypeVar("T")
TESTS = Path(__file__).parents[1]
PATIENCE_S = 60.0


def open_store(directory: Path) -> SqliteStore:
    return SqliteStore(directory / "dispatch.sqlite3", KINDS)


def open_broker(directory: Path) -> EmbeddedBroker:
    return EmbeddedBroker(directory / "bells")


def eventually(look: Callable[[], T], what: str = "") -> T:
    """Wait until something is so; returns what was seen."""
    deadline = time.monotonic() + PATIENCE_S
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
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.directory / "dispatch.sqlite3").touch()
        self.store = open_store(self.directory)
        self.store.create_tables()
        self.broker = open_broker(self.directory)

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
        }
        log = self.directory / f"worker-{len(self.workers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "queue_workers.parent_main", str(self.directory), json.dumps(given)],
                env={**os.environ, "PYTHONPATH": str(TESTS)},
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
        with self.store._connections.writing() as connection:
            acts.interrupt(connection, job, by, "", datetime.now(UTC))
        self.broker.ring(KINDS)

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.directory / "dispatch.sqlite3", timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()

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
