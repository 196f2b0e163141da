"""Interrupts very many running trees of processes at once, and watches when the last process of each is gone."""

import secrets
import time
from dataclasses import dataclass

from queue_workers.rig import Rig, eventually
from queue_workers.transcoding import PROCESSES, Endings, living

GRACE_S = 1.0
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """`late_s`: for each job, how long after the end of its grace time its last process was gone, or its row settled.

    Negative where it heeded SIGTERM. `survivors`: processes that were still there when all rows were settled.
    """

    jobs: int
    processes: int
    survivors: int
    late_s: list[float]
    states: dict[str, int]


def run(rig: Rig, jobs: int) -> Result:
    """Start them all, wait until every tree stands, interrupt them one after the other, watch them go."""
    name, ready = secrets.token_hex(8), rig.directory / "ready"
    ready.mkdir()
    worker = rig.start("transcode", slots=jobs)
    numbers = [
        rig.enqueue("transcode", run=name, ready=str(ready), stubborn=bool(index % 2))[0] for index in range(jobs)
    ]
    eventually(lambda: len(list(ready.iterdir())) == jobs, "every tree stands", patience_s=300)
    trees = {int(attempt.partition("/")[0]): seen for attempt, seen in living(name).items()}
    assert {job: len(seen) for job, seen in trees.items()} == dict.fromkeys(numbers, PROCESSES)
    endings = Endings(trees)
    asked = {}
    for job in numbers:
        asked[job] = time.monotonic()
        rig.interrupt(job)
    deadline = time.monotonic() + _PATIENCE_S
    settled: dict[int, float] = {}
    gone = False
    while (not gone or len(settled) < jobs) and time.monotonic() < deadline:
        gone = endings.look()
        for row in rig.rows("SELECT id FROM job WHERE state NOT IN ('waiting', 'running')"):
            settled.setdefault(row["id"], time.monotonic())
        time.sleep(0.05)  # a look takes some of the machine, too
    late_s = [
        max(endings.gone_at.get(job, deadline), settled.get(job, deadline)) - asked[job] - GRACE_S for job in numbers
    ]
    survivors = sum(len(seen) for seen in living(name).values())
    assert worker.process.poll() is None, "the worker ended"
    return Result(jobs, jobs * PROCESSES, survivors, late_s, rig.states())
