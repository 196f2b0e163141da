"""RabbitMQ away under load: killed with SIGKILL, left dead for ten minutes, started again. Work has to go on.

Two queue workers with four slots each, on SQLite and a node of their own. Another process enqueues two jobs every
100 ms, before, while and after the node is dead, and a quarter of them fail for good. In the end each job has to be
settled once, as it should be, with one execution; and the copies of all dead letters lie in `…_failed`, those of the
time without RabbitMQ, too.

The last line is JSON: jobs, lost, doubled, unsettled (all three 0), enqueue_errors, copies_missing, and from the
commit to the start, in milliseconds, `before_p50_ms, before_p99_ms, away_p50_ms, away_p99_ms, after_p50_ms,
after_p99_ms`. Without bells workers look once a second: the median is half of that.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from central_dispatch.jobs.job import NewJob
from queue_workers.rig import Rig, eventually
from servers.amqp import Stranger
from servers.places import passable_directory
from servers.rabbitmq import Node

_PACE_S = 0.1
_EVERY = 4  # so many jobs have one that fails
PHASES = ("before", "away", "after")


class Load:
    """Enqueues, and remembers when each job was committed, and in which phase."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.committed: dict[int, tuple[str, float]] = {}
        self.failing: set[int] = set()
        self.errors = 0

    def run(self, phase: str, for_s: float) -> None:
        """Enqueue for so long."""
        until = time.monotonic() + for_s
        while time.monotonic() < until:
            self._one(phase)
            time.sleep(_PACE_S)

    def _one(self, phase: str) -> None:
        fails = len(self.committed) // 2 % _EVERY == 0
        jobs = [
            NewJob(kind="measure", payload={"at": time.time()}),
            NewJob(kind="misbehave" if fails else "no-op", payload={"how": "fail"} if fails else {}),
        ]
        try:
            made = self._rig.store.enqueue(jobs, datetime.now(UTC))
            self._rig.broker.ring([job.kind for job in jobs])
        except Exception as error:  # noqa: BLE001 it is counted, and any is one too many
            print(f"enqueueing: {error!r}", flush=True)
            self.errors += 1
            return
        for number in made:
            assert number is not None
            self.committed[number] = (phase, time.time())
        if fails and made[1] is not None:
            self.failing.add(made[1])


def findings(rig: Rig, load: Load) -> dict[str, Any]:
    """Compare what was enqueued with what the database says."""
    rows = {row["id"]: row for row in rig.rows("SELECT id, state, attempts, result FROM job")}
    executions = Counter(row["job"] for row in rig.rows("SELECT job FROM job_attempt"))
    wanted = {job: "in_error" if job in load.failing else "finished" for job in load.committed}
    found: dict[str, Any] = {
        "jobs": len(wanted),
        "lost": sum(job not in rows for job in wanted),
        "doubled": sum(executions[job] > 1 or rows[job]["attempts"] > 1 for job in wanted if job in rows),
        "unsettled": sum(rows[job]["state"] != state for job, state in wanted.items() if job in rows),
        "enqueue_errors": load.errors,
    }
    for phase in PHASES:
        latencies = sorted(
            json.loads(rows[job]["result"])["latency_s"] * 1000
            for job, (when, _) in load.committed.items()
            if when == phase and "latency_s" in rows[job]["result"]
        )
        for share in (50, 99):
            found[f"{phase}_p{share}_ms"] = round(latencies[int(len(latencies) * share / 100)], 1)
        found[f"{phase}_most_ms"] = round(latencies[-1], 1)
    return found


def measure(away_s: float, around_s: float) -> dict[str, Any]:
    """Run with RabbitMQ dead for `away_s`, and alive for `around_s` before and after; returns the figures."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cd-away-")))
        node = stack.enter_context(Node(stack.enter_context(passable_directory()) / "rabbitmq"))
        rig = Rig(place, broker_name="rabbitmq", node=node)
        stack.callback(rig.close)
        seen = Stranger(node.place(rig.virtual_host))
        workers = [rig.start("measure", "no-op", "misbehave", slots=4) for _ in range(2)]
        load = Load(rig)
        load.run("warm", 1.0)
        eventually(lambda: not set(rig.states()) - {"finished", "in_error"}, "the workers work")
        load.run("before", around_s)
        node.kill()
        killed = time.monotonic()
        load.run("away", away_s)
        was_away_s = time.monotonic() - killed
        node.start()
        load.run("after", around_s)
        eventually(lambda: not set(rig.states()) - {"finished", "in_error"}, "all are settled")
        eventually(lambda: (seen.depth("misbehave_failed") or 0) >= len(load.failing), "the copies")
        figures = findings(rig, load)
        figures["copies_missing"] = len(load.failing) - (seen.depth("misbehave_failed") or 0)
        figures["workers_said"] = [said(worker.log) for worker in workers]
    return figures | {"what": "rabbitmq", "away_s": round(was_away_s, 1), "load_after": os.getloadavg()[0]}


def said(log: Path) -> int:
    """Return how many lines a worker wrote about RabbitMQ being away."""
    return sum("is away" in line and "over:" not in line for line in log.read_text().splitlines())
