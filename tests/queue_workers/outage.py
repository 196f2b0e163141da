"""The database, or RabbitMQ, is away for long under load, comes back, and everything has to be as if nothing had been.

Times are the engine's own: an outage of a minute is already twice as long as a lease.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.ports import StoreDown
from job_history import COUNTS, Evidence, Findings, check, read_effects, read_executions
from queue_workers.rig import Rig, eventually

#: Jobs that run through the whole outage.
LONG = 4
_SLOTS = 4
_WORKERS = 2
#: The load that comes while it is away is enqueued in so many pieces.
_PIECES = 20
_SETTLES_S = 240.0


@dataclass(frozen=True, slots=True)
class Result:
    """`burnt`: attempts that counted and were not done. `repeated`: executions of a job beyond its first.

    `during`: jobs whose end was written down while it was away.
    """

    jobs: int
    away_s: float
    burnt: int
    repeated: int
    during: int
    findings: Findings
    settled_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What stops and starts it, for how long it is away, and how many jobs there are; handlers write into `notes`."""

    stop: Callable[[], None]
    start: Callable[[], None]
    away_s: float
    jobs: int
    notes: Path


def run(rig: Rig, outage: Outage) -> Result:
    """Half of the jobs are there before, half come while it is away; some run all the time."""
    (outage.notes / "effects").mkdir(parents=True)
    new = _jobs(outage)
    for _ in range(_WORKERS):
        rig.start("chaos", slots=_SLOTS)
    before = LONG + (outage.jobs - LONG) // 2
    _enqueue(rig, new[:before])
    eventually(lambda: rig.states().get("finished", 0) >= before // 5, "the load runs")
    outage.stop()
    begun, stopped_at = time.monotonic(), datetime.now(UTC)
    _enqueue_meanwhile(rig, new[before:], begun + outage.away_s, outage.start)
    away_s, back_at = time.monotonic() - begun, datetime.now(UTC)
    back = time.monotonic()
    while _is_open(rig) and time.monotonic() - back < _SETTLES_S:
        time.sleep(0.1)
    settled_after_s = time.monotonic() - back
    return _result(rig, outage, away_s, (stopped_at, back_at), settled_after_s)


def _jobs(outage: Outage) -> list[NewJob]:
    luck = random.Random(outage.jobs)  # noqa: S311 repeatable on purpose
    notes = {"log": str(outage.notes / "executions"), "effects": str(outage.notes / "effects")}
    long_s = outage.away_s + 5
    seconds = [long_s] * LONG + [luck.choice([0.0, 0.05, 0.2]) for _ in range(outage.jobs - LONG)]
    return [
        NewJob(
            kind="chaos", payload={"seconds": each, **notes}, batch=1, batch_index=number, priority=5 if number else 9
        )
        for number, each in enumerate(seconds)
    ]


def _enqueue_meanwhile(rig: Rig, jobs: list[NewJob], until: float, start: Callable[[], None]) -> None:
    """Enqueue piece by piece while it is away, as services do; start it at its time, and enqueue what was refused."""
    size = -(-len(jobs) // _PIECES)
    refused: list[list[NewJob]] = []
    pieces = [jobs[at : at + size] for at in range(0, len(jobs), size)]
    pause_s = (until - time.monotonic()) / (len(pieces) + 1)
    for piece in pieces:
        time.sleep(min(pause_s, max(0.0, until - time.monotonic())))
        try:
            _enqueue(rig, piece)
        except StoreDown:
            refused.append(piece)
    time.sleep(max(0.0, until - time.monotonic()))
    start()
    for piece in refused:
        eventually(lambda piece=piece: _enqueued(rig, piece), "the database takes it")


def _enqueued(rig: Rig, piece: list[NewJob]) -> bool:
    try:
        _enqueue(rig, piece)
    except StoreDown:
        return False
    return True


def _enqueue(rig: Rig, jobs: list[NewJob]) -> None:
    rig.store.enqueue(jobs, datetime.now(UTC))
    rig.broker.ring(["chaos"])


def _is_open(rig: Rig) -> bool:
    with suppress(StoreDown):
        return set(rig.states()) != {"finished"}
    return True


def _result(
    rig: Rig, outage: Outage, away_s: float, between: tuple[datetime, datetime], settled_after_s: float
) -> Result:
    evidence = Evidence(
        wanted=dict.fromkeys(range(outage.jobs), "finished"),
        jobs=rig.rows("SELECT id, batch_index, state, fence, attempts, error, ended_at FROM job"),
        attempts=rig.rows("SELECT job, fence, outcome FROM job_attempt"),
        executions=read_executions(outage.notes / "executions"),
        effects=read_effects(outage.notes / "effects"),
    )
    burnt = sum(COUNTS[row["outcome"]] and row["outcome"] != "done" for row in evidence.attempts)
    first, last = (moment.replace(tzinfo=None).isoformat(" ", "microseconds") for moment in between)
    during = sum(first < str(row["ended_at"]) < last for row in evidence.jobs)
    repeated = len(evidence.executions) - len({execution.job for execution in evidence.executions})
    return Result(outage.jobs, away_s, burnt, repeated, during, check(evidence), settled_after_s)
