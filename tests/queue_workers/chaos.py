"""A load with faults: jobs are enqueued while a nemesis works, then all has to settle, and the history is checked."""

import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.ports import StoreDown
from job_history import Evidence, Findings, check, read_effects, read_executions
from queue_workers.nemesis import Harm, Nemesis
from queue_workers.rig import Rig

#: How long everything may take to settle once no more harm is done, in seconds.
_SETTLES_S = 240.0
#: How long to wait for something to run before the next harm, at most, in seconds.
_WORKS_S = 3.0
_RUNNING = "SELECT 1 FROM job WHERE state = 'running' LIMIT 1"
_OPEN = "SELECT count(*) AS n FROM job WHERE state IN ('waiting', 'running')"
_BATCH = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much, and how long between two faults at most, in seconds. Handlers' own notes lie in `notes`."""

    jobs: int
    faults: int
    pause_s: float
    seed: int
    notes: Path


@dataclass(frozen=True, slots=True)
class Result:
    """What was done and what was found."""

    jobs: int
    faults: Counter[str]
    executions: int
    cut_off: int  # executions that the history calls crashed
    findings: Findings
    took_s: float


def run(rig: Rig, load: Load, harms: Mapping[str, Harm], *, few: bool = False) -> Result:
    """Enqueue all jobs in as many pieces as there are faults, do one harm after each, let settle, and check.

    The first harm cuts off a job for sure. `few`: harm mostly what the workers stand on.
    """
    begun = time.monotonic()
    luck = random.Random(load.seed)  # noqa: S311 repeatable on purpose
    effects = load.notes / "effects"
    effects.mkdir(parents=True)
    new = [_new_job(number, luck, load.notes) for number in range(load.jobs)]
    nemesis = Nemesis(rig, luck, harms, few=few)
    size = -(-load.jobs // load.faults)
    for start in range(0, load.jobs, size):
        _enqueue(rig, nemesis, new[start : start + size])
        if not start:
            nemesis.kill_at_work()
            continue
        _wait_for_work(rig)
        # The harm comes at any moment, and so does the next piece, which may meet it; nothing is asserted about that.
        time.sleep(luck.uniform(0.0, load.pause_s / 2))
        nemesis.harm(luck.uniform(load.pause_s / 2, load.pause_s))
        time.sleep(luck.uniform(0.0, load.pause_s))
    nemesis.heal()
    _wait_until_settled(rig)
    nemesis.end()
    evidence = Evidence(
        wanted={number: _end_of(number) for number in range(load.jobs)},
        jobs=rig.rows("SELECT id, batch_index, state, fence, attempts, error FROM job"),
        attempts=rig.rows("SELECT job, fence, outcome FROM job_attempt"),
        executions=read_executions(load.notes / "executions"),
        effects=read_effects(effects),
    )
    took_s = time.monotonic() - begun
    cut_off = sum(attempt["outcome"] == "crashed" for attempt in evidence.attempts)
    return Result(load.jobs, nemesis.done, len(evidence.executions), cut_off, check(evidence), took_s)


def _new_job(number: int, luck: random.Random, notes: Path) -> NewJob:
    payload = {
        "log": str(notes / "executions"),
        "effects": str(notes / "effects"),
        # Now and then a long one, so that most harms find something to cut off.
        "seconds": 1.0 if number % 25 == 3 else luck.choice([0, 0.005, 0.05, 0.2]),
        "fails": int(number % 11 == 0),
        "defers": number % 13 == 0,
        "hopeless": _end_of(number) == "in_error",
    }
    return NewJob(kind="chaos", payload=payload, batch=_BATCH, batch_index=number, priority=luck.randrange(10))


def _end_of(number: int) -> str:
    return "in_error" if number % 50 == 7 else "finished"


def _enqueue(rig: Rig, nemesis: Nemesis, jobs: list[NewJob]) -> None:
    """Enqueue as an expansion does: whatever became of the last try, all of it is tried again, and numbered."""
    while True:
        try:
            rig.store.enqueue(jobs, datetime.now(UTC))
        except StoreDown:
            # A parent that was stopped in the middle of a write holds every other writer up, until it is let go; and
            # a database that was stopped comes back only if somebody starts it.
            nemesis.heal()
            continue
        rig.broker.ring(["chaos"])
        return


def _wait_for_work(rig: Rig) -> None:
    """Wait until something runs, so that the harm meets it; not for ever, as the last harm may keep it from running."""
    deadline = time.monotonic() + _WORKS_S
    with suppress(StoreDown):  # the last harm is still there: so be it
        while not rig.rows(_RUNNING) and time.monotonic() < deadline:
            time.sleep(0.02)


def _wait_until_settled(rig: Rig) -> None:
    """Wait, and go on after a while with whatever there is: the check says what did not settle."""
    deadline = time.monotonic() + _SETTLES_S
    is_open = True
    while is_open and time.monotonic() < deadline:
        time.sleep(0.1)
        with suppress(StoreDown):  # connections from before the last harm
            is_open = bool(rig.rows(_OPEN)[0]["n"])
