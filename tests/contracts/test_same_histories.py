"""The same acts give the same histories on every broker, through real queue workers.

Random sequences of what people and services do are done to each combination of store and broker; after every act, once
nothing moves any more, the jobs' states, attempts, errors and executions must be the same on all of them.
CENTRAL_DISPATCH_HISTORIES asks for more sequences.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from central_dispatch.jobs.job import NewJob
from central_dispatch.stores.server import acts as acts_on_servers
from central_dispatch.stores.sqlite import SqliteStore
from central_dispatch.stores.sqlite import acts as acts_on_sqlite
from queue_workers.rig import Rig

SEQUENCES = int(os.environ.get("CENTRAL_DISPATCH_HISTORIES", "8"))
COMBINATIONS = (("sqlite", "embedded"), ("sqlite", "rabbitmq"), ("postgresql", "rabbitmq"))
#: A bound on waiting for what must come, in seconds; nothing is said about speed here.
PATIENCE_S = 60.0
#: Settings hold within a second; these workers read them anew after 0.05 s, and by then have done so.
STALE_S = 0.1
QUEUES = ("no-op", "patient", "misbehave")
ENDED = {"finished", "in_error", "interrupted"}
#: What a job does: its queue and payload. Those that are patient run until they are interrupted.
DEEDS: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("no-op", {}),
    "wait": ("patient", {"seconds": 3600}),
    **{f"misbehave: {how}": ("misbehave", {"how": how}) for how in ("raise", "fail", "defer", "exit", "killed")},
}
#: More of them than the workers have slots would leave it to luck which of them runs.
MOST_PATIENT = 5


@dataclass
class Side:
    """One combination with two workers, and what was enqueued there in this sequence."""

    rig: Rig
    jobs: list[int | None] = field(default_factory=list)

    def act(self, name: str, *values: Any) -> Any:
        """Do what a service does in its transaction."""
        store = self.rig.store
        if isinstance(store, SqliteStore):
            with store._connections.writing() as connection:
                return getattr(acts_on_sqlite, name)(connection, *values)
        return store._connections.write(lambda session: getattr(acts_on_servers, name)(session, *values))

    def histories(self) -> list[tuple[Any, ...] | None]:
        """What became of each job so far; none of it depends on the time."""
        return [None if job is None else self._history(job) for job in self.jobs]

    def _history(self, job: int) -> tuple[Any, ...]:
        row = self.rig.job(job)
        executions = [(one["outcome"], one["error"]) for one in self.rig.attempts(job)]
        state = (row["state"], row["waiting_for"] if row["state"] == "waiting" else "")
        return (*state, row["attempts"], row["deferrals"], row["error"], row["ended_by"], executions)

    def is_quiet(self, paused: set[str], *, is_over: bool) -> bool:
        """Whether nothing moves any more; when it is over, whether all has ended."""
        jobs = [job for job in self.jobs if job is not None]
        if not jobs:
            return True
        marks = ", ".join("?" * len(jobs))
        rows = self.rig.rows(f"SELECT state, queue, waiting_for FROM job WHERE id IN ({marks})", *jobs)  # noqa: S608 marks only
        return all(row["state"] in ENDED or (not is_over and _stands(row, paused)) for row in rows)


def _stands(row: dict[str, Any], paused: set[str]) -> bool:
    if row["state"] == "running":
        return str(row["queue"]) == "patient"
    return row["waiting_for"] == "deferred" or row["queue"] in paused


class Histories(RuleBasedStateMachine):
    """Does the same to all sides and compares them."""

    sides: list[Side]

    def __init__(self) -> None:
        super().__init__()
        self.paused: set[str] = set()
        self.patient = 0
        self.is_over = False
        for side in self.sides:
            side.jobs.clear()

    def teardown(self) -> None:
        """Leave nothing behind that the next sequence would meet."""
        # While what is paused stands still: once it goes on, luck would say whether a job waits or runs.
        for number in range(len(self.sides[0].jobs)):
            self._to_a_job(number, lambda side, job: side.act("interrupt", job, "end", "", datetime.now(UTC)))
        for queue in QUEUES:
            for side in self.sides:
                side.rig.store.change_settings(queue, {"paused": False, "max_attempts": 2})
        time.sleep(STALE_S)
        self._ring()
        self.is_over = True
        self.paused.clear()
        self._settle()

    @rule(
        deed=st.sampled_from(sorted(DEEDS)), count=st.sampled_from([1, 1, 1, 4]), priority=st.sampled_from([0, 5, 9]),
        key=st.sampled_from([None, None, "a"]),
    )  # fmt: skip
    def enqueue(self, deed: str, count: int, priority: int, key: str | None) -> None:
        kind, payload = DEEDS[deed]
        if kind == "patient":
            count = min(count, MOST_PATIENT - self.patient)
            self.patient += count
        new = [NewJob(kind=kind, payload=payload, priority=priority, unique_key=key)] * count
        for side in self.sides:
            side.jobs += side.rig.store.enqueue(new, datetime.now(UTC))
            side.rig.broker.ring([kind])
        self._compare()

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, queue: str, *, paused: bool) -> None:
        (self.paused.add if paused else self.paused.discard)(queue)
        self._change(queue, {"paused": paused})

    @rule(attempts=st.integers(1, 3))
    def change_attempts(self, attempts: int) -> None:
        self._change("misbehave", {"max_attempts": attempts})

    @precondition(lambda self: self.sides[0].jobs)
    @rule(luck=st.integers(0, 1000), act=st.sampled_from(["interrupt", "cancel", "retry"]))
    def to_a_job(self, luck: int, act: str) -> None:
        values = () if act == "retry" else ("eve", "because")
        number = luck % len(self.sides[0].jobs)
        self._to_a_job(number, lambda side, job: side.act(act, job, *values, datetime.now(UTC)))
        self._ring()
        self._compare()

    @rule(queue=st.sampled_from(QUEUES))
    def requeue_failed(self, queue: str) -> None:
        for side in self.sides:
            # Those of earlier sequences stay dead: nobody waits for them here.
            dead = [job for job in side.act("dead_in", queue) if job in side.jobs]
            side.act("requeue", dead, datetime.now(UTC))
        self._ring()
        self._compare()

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue: str) -> None:
        for side in self.sides:
            side.act("purge", side.act("waiting_in", queue), "eve", "purged", datetime.now(UTC))
        self._compare()

    def _change(self, queue: str, changes: dict[str, Any]) -> None:
        for side in self.sides:
            side.rig.store.change_settings(queue, changes)
        time.sleep(STALE_S)
        self._ring()
        self._compare()

    def _to_a_job(self, number: int, act: Callable[[Side, int], object]) -> None:
        said = [act(side, job) for side in self.sides if (job := side.jobs[number]) is not None]
        assert len({str(one) for one in said}) <= 1, said

    def _ring(self) -> None:
        for side in self.sides:
            side.rig.broker.ring(QUEUES)
            side.rig.broker.call(QUEUES)

    def _settle(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        for side in self.sides:
            while not side.is_quiet(self.paused, is_over=self.is_over):
                assert time.monotonic() < deadline, (side.rig.broker_name, side.histories())
                time.sleep(0.002)

    def _compare(self) -> None:
        self._settle()
        first, *others = self.sides
        histories = first.histories()
        for other in others:
            assert other.histories() == histories, (other.rig.store_name, other.rig.broker_name)


@pytest.fixture
def sides() -> Iterator[list[Side]]:
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 a private directory below it
    with tempfile.TemporaryDirectory(dir=memory) as place:
        made = []
        try:
            for store, broker in COMBINATIONS:
                (directory := Path(place) / f"{store}-{broker}").mkdir()
                made.append(Side(Rig(directory, store, broker)))
                for _ in range(2):
                    made[-1].rig.start(*QUEUES, slots=MOST_PATIENT, timing={"settings_s": 0.05})
            yield made
        finally:
            for side in made:
                side.rig.close()


def test_every_combination_has_the_same_histories(sides: list[Side]) -> None:
    machine = type("Machine", (Histories,), {"sides": sides})
    for side in sides:
        for queue in QUEUES:
            # What is deferred stays so: a slow side must not try it once more often than a quick one.
            changes = {"max_attempts": 2, "retry_delay_s": 0.05, "backoff": "fixed", "deferral_delay_s": 3600}
            side.rig.store.change_settings(queue, changes)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis has no annotation there
        machine,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=8,
            # A sequence that is made smaller runs for up to a minute on real workers, many times over.
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
