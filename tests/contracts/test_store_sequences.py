"""Random sequences of calls: each store does what the model does. CENTRAL_DISPATCH_SEQUENCES asks for more of them."""

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from central_dispatch.jobs.job import Claim, NewJob, Progress
from central_dispatch.jobs.outcome import Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.jobs.ports import Parent, Settled
from central_dispatch.jobs.settling import settle as decide
from job_adapters import STORES
from job_model import DEFERRAL_DELAY_S, MAX_ATTEMPTS, RETRY_DELAY_S, Ending, Model, ModelJob

SEQUENCES = int(os.environ.get("CENTRAL_DISPATCH_SEQUENCES", "400"))
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
QUEUES = ("ftp", "mail")
OUTCOMES: dict[Ending, Outcome] = {
    "done": Done(),
    "failed": Failed("no"),
    "refused": Failed("no", retryable=False),
    "deferred": Deferred("locked"),
    "released": Released(),
    "stopped": Stopped("eve"),
}
# Mostly one queue and two priorities, and parents that seldom die: or little would ever meet.
queues = st.sampled_from((QUEUES[0], *QUEUES))
stores = st.integers(0, 1)  # two processes' stores on one database


class Sequences(RuleBasedStateMachine):
    """Drives two stores on one database, and the model."""

    adapter: str

    def __init__(self) -> None:
        super().__init__()
        # In memory where there is such a place: thousands of databases are made.
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 a private directory below it
        self.folder = tempfile.TemporaryDirectory(dir=memory)
        self.site = STORES[self.adapter](Path(self.folder.name))
        self.stores = (self.site.open(), self.site.open())
        self.model = Model()
        self.now = 0
        self.held: list[tuple[Claim, int]] = []  # every claim that was ever given, with its turn
        self.parents = 0

    def teardown(self) -> None:
        self.site.close()
        self.folder.cleanup()

    def at(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now)

    @initialize()
    def fixed_delays(self) -> None:
        changes = {
            "backoff": "fixed",
            "retry_delay_s": RETRY_DELAY_S,
            "deferral_delay_s": DEFERRAL_DELAY_S,
            "max_attempts": MAX_ATTEMPTS,
        }
        for queue in QUEUES:
            self.stores[0].change_settings(queue, changes)
        self.register(0, 0)

    @rule(seconds=st.sampled_from([1, 4, 10, 60]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(
        which=stores,
        queue=queues,
        priority=st.sampled_from([0, 5, 5, 9]),
        later=st.sampled_from([0, 0, 7]),
        key=st.sampled_from([None, None, "a", "b"]),
        index=st.none() | st.integers(0, 5),
        amount=st.integers(1, 3),
    )
    def enqueue(
        self, which: int, queue: str, priority: int, later: int, key: str | None, index: int | None, amount: int
    ) -> None:
        new = NewJob(
            kind=queue,
            payload={},
            priority=priority,
            due_at=self.at() + timedelta(seconds=later),
            unique_key=key,
            batch=None if index is None else 1,
            batch_index=index,
        )
        for number in self.stores[which].enqueue([new] * amount, self.at()):
            assert (number is not None) == self.model.takes(queue, key, index)
            if number is not None:
                self.model.add(ModelJob(number, queue, priority, self.now + later, key), index)

    @rule(which=stores, queue=queues, limit=st.sampled_from([5, 1, 2, 0]), draw=st.data())
    def claim(self, which: int, queue: str, limit: int, draw: st.DataObject) -> None:
        alive = [number for number in range(self.parents) if name(number) in self.model.beats]
        parent = draw.draw(st.sampled_from([*alive, *alive, *alive, 0]))
        claims = self.stores[which].claim(queue, name(parent), limit, self.at())
        expected = self.model.claim(queue, name(parent), limit, self.now)
        assert [claim.job for claim in claims] == [job.number for job in expected]
        for claim, job in zip(claims, expected, strict=True):
            assert (claim.attempts, claim.deferrals) == (job.attempts, job.deferrals)
            assert all(claim.fence > old.fence for old, _turn in self.held if old.job == claim.job)
            self.held.append((claim, job.turn))

    @precondition(lambda self: any(job.state == "waiting" for job in self.model.jobs.values()) and self.model.beats)
    @rule(which=stores, ending=st.sampled_from([None, None, *sorted(OUTCOMES)]), asked=st.booleans(), draw=st.data())
    def a_job_runs(self, which: int, ending: Ending | None, asked: bool, draw: st.DataObject) -> None:  # noqa: FBT001 a draw
        """What happens most: one that waits is taken, reports, may be interrupted, ends or goes on. So much meets."""
        waiting = sorted(number for number, job in self.model.jobs.items() if job.state == "waiting")
        number, parent = draw.draw(st.sampled_from(waiting)), draw.draw(st.sampled_from(sorted(self.model.beats)))
        self.take(which, number, parent)
        claim, turn = self.held[-1]
        self.stores[which].progress({(claim.job, claim.fence): Progress(20.0, "begun")})
        self.model.progress(claim.job, turn, 20.0, "begun")
        if asked:
            assert self.site.interrupt(number, "eve") == self.model.interrupt(number)
        if ending:
            self.write(1 - which, [(self.held[-1], ending)])

    @precondition(lambda self: self.held)
    @rule(which=stores, draw=st.data())
    def settle(self, which: int, draw: st.DataObject) -> None:
        """Settle some claims in one batch, old ones and doubles among them."""
        one = st.tuples(st.sampled_from(self.held), st.sampled_from(sorted(OUTCOMES)))
        self.write(which, draw.draw(st.lists(one, min_size=1, max_size=4)))

    @precondition(lambda self: self.current())
    @rule(which=stores, ending=st.sampled_from(["failed", "released", *sorted(OUTCOMES)]))
    def settle_what_runs(self, which: int, ending: Ending) -> None:
        self.write(which, [(held, ending) for held in self.current()])

    @precondition(lambda self: self.stale())
    @rule(which=stores, ending=st.sampled_from(sorted(OUTCOMES)))
    def settle_what_runs_under_a_newer_fence(self, which: int, ending: Ending) -> None:
        self.write(which, [(held, ending) for held in self.stale()])

    def current(self) -> list[tuple[Claim, int]]:
        """The claims that still hold."""
        return [held for held in self.held if self.runs(held[0].job) and self.model.jobs[held[0].job].turn == held[1]]

    def stale(self) -> list[tuple[Claim, int]]:
        """Old claims of jobs that run again."""
        return [held for held in self.held if self.runs(held[0].job) and self.model.jobs[held[0].job].turn != held[1]]

    def runs(self, job: int) -> bool:
        return self.model.jobs[job].state == "running"

    def write(self, which: int, endings: list[tuple[tuple[Claim, int], Ending]]) -> None:
        batch, expected = [], []
        for (claim, turn), ending in endings:
            settlement = decide(claim, OUTCOMES[ending], self.stores[which].settings(claim.kind), self.at(), 0.5)
            batch.append(Settled(claim, settlement, 1, self.at(), self.at(), ending))
            expected.append(self.model.settle(claim.job, turn, ending, self.now))
        assert self.stores[which].settle(batch) == expected

    @precondition(lambda self: self.model.jobs)
    @rule(draw=st.data())
    def interrupt(self, draw: st.DataObject) -> None:
        number = draw.draw(st.sampled_from(sorted(self.model.jobs)))
        assert self.site.interrupt(number, "eve") == self.model.interrupt(number)

    @rule(queue=queues, paused=st.sampled_from([False, False, False, True]))
    def pause(self, queue: str, paused: bool) -> None:  # noqa: FBT001 a draw
        self.stores[0].change_settings(queue, {"paused": paused})
        (self.model.paused.add if paused else self.model.paused.discard)(queue)

    @rule(queue=queues, limit=st.sampled_from([None, None, 1, 2]))
    def limit(self, queue: str, limit: int | None) -> None:
        self.stores[1].change_settings(queue, {"concurrency": limit})
        self.model.limits[queue] = limit

    @rule(which=stores, dead=st.sampled_from([99, 99, 99, 0, 1, 2]))
    def register(self, which: int, dead: int) -> None:
        """A parent starts on the host where the parent of that number may have died."""
        number, self.parents = self.parents, self.parents + 1
        self.site.gone.add(1000 + dead)
        gone = [name(other) for other in range(number) if 1000 + other in self.site.gone]
        freed = self.stores[which].register(Parent(name(number), "host", 1000 + number, QUEUES, 4), self.at())
        assert sorted(freed) == self.model.register(name(number), gone, self.now)

    @precondition(lambda self: self.model.beats)
    @rule(which=stores, draw=st.data())
    def beat(self, which: int, draw: st.DataObject) -> None:
        parent = draw.draw(st.integers(0, self.parents - 1))
        known = name(parent) in self.model.beats
        assert self.stores[which].beat(name(parent)) == known
        if known:
            self.model.beats[name(parent)] += 1

    @rule(which=stores, parent=st.integers(0, 5), count=st.integers(0, 4))
    def sweep(self, which: int, parent: int, count: int) -> None:
        freed = self.stores[which].sweep(name(parent), count, self.at())
        assert sorted(freed) == sorted(self.model.sweep(name(parent), count, self.now))

    @precondition(lambda self: self.held)
    @rule(which=stores, percent=st.sampled_from([0.0, 50.0]), draw=st.data())
    def report(self, which: int, percent: float, draw: st.DataObject) -> None:
        """A handler reports, maybe one whose fence is gone."""
        claim, turn = draw.draw(st.sampled_from(self.held))
        self.stores[which].progress({(claim.job, claim.fence): Progress(percent, f"turn {turn}")})
        self.model.progress(claim.job, turn, percent, f"turn {turn}")

    @precondition(lambda self: self.model.jobs)
    @rule(which=stores, draw=st.data())
    def claim_by_number(self, which: int, draw: st.DataObject) -> None:
        number = draw.draw(st.sampled_from(sorted(self.model.jobs)))
        self.take(which, number, name(draw.draw(st.integers(0, self.parents - 1))))

    def take(self, which: int, number: int, parent: str) -> None:
        claim = self.stores[which].claim_job(number, parent, self.at())
        job = self.model.claim_job(number, parent)
        assert (claim is None) == (job is None)
        if claim is not None and job is not None:
            assert (claim.job, claim.attempts, claim.deferrals) == (number, job.attempts, job.deferrals)
            assert all(claim.fence > old.fence for old, _turn in self.held if old.job == number)
            self.held.append((claim, job.turn))

    @rule(which=stores, chance=st.integers(0, 3), draw=st.data())
    def leave(self, which: int, chance: int, draw: st.DataObject) -> None:
        if chance == 0:
            parent = name(draw.draw(st.integers(0, self.parents - 1)))
            self.stores[which].leave(parent)
            self.model.leave(parent)

    @rule(which=stores, chance=st.integers(0, 7))
    def a_backup_is_restored(self, which: int, chance: int) -> None:
        if chance == 0:
            assert sorted(self.stores[which].raise_epoch(self.at())) == self.model.raise_epoch(self.now)
            self.register(which, 99)  # or little would follow

    @invariant()
    def the_rows_are_as_the_model_says(self) -> None:
        found = [seen(row) for row in self.site.rows()]
        assert found == [expected(job) for job in sorted(self.model.jobs.values(), key=lambda job: job.number)]

    @invariant()
    def the_parents_are_those_of_the_model_with_their_beats(self) -> None:
        assert {beat.parent: beat.count for beat in self.stores[0].beats()} == self.model.beats

    @invariant()
    def each_parent_holds_what_the_model_says(self) -> None:
        fences = {claim.job: claim.fence for claim, _turn in self.held}  # the last one of each
        for parent in self.model.beats:
            found = sorted((claim.job, claim.fence) for claim in self.stores[1].held(parent))
            assert found == [(number, fences[number]) for number in self.model.held(parent)]

    @invariant()
    def what_is_due_next_is_as_the_model_says(self) -> None:
        expected = self.model.next_due(QUEUES)
        found = self.stores[0].next_due(QUEUES, self.at())
        assert (found is None) == (expected is None)
        assert found is None or expected is None or found == EPOCH + timedelta(seconds=expected)

    @invariant()
    def interruptions_are_as_the_model_says(self) -> None:
        held = {(claim.job, claim.fence): turn for claim, turn in self.held}
        expected = []
        for (number, _fence), turn in held.items():
            job = self.model.jobs[number]
            if job.state != "running" or job.turn != turn:
                expected.append((number, ""))
            elif job.interrupt:
                expected.append((number, "eve"))
        assert self.stores[1].interruptions(list(held)) == expected

    @invariant()
    def the_history_has_each_execution_once(self) -> None:
        for job in self.model.jobs.values():
            assert [row["outcome"] for row in self.site.history(job.number)] == job.history


def name(parent: int) -> str:
    return f"{parent:032x}"


def seen(row: dict[str, Any]) -> dict[str, Any]:
    """What of a row the model knows."""
    kept = ("id", "state", "attempts", "deferrals", "parent", "ended_by", "unique_key", "percent", "words")
    waits = row["state"] == "waiting"
    return {name: row[name] for name in kept} | {
        "waiting_for": row["waiting_for"] if waits else "",
        "due": moment(row["due_at"]) if waits else None,
        "interrupt": bool(row["interrupt_by"]),
        "is over": row["ended_at"] is not None,
        "expires": row["expires_at"] is not None,
    }


def expected(job: ModelJob) -> dict[str, Any]:
    """The same, as the model has it."""
    waits, runs = job.state == "waiting", job.state == "running"
    return {
        "id": job.number,
        "state": job.state,
        "attempts": job.attempts,
        "deferrals": job.deferrals,
        "parent": job.parent if runs else None,
        "ended_by": job.by,
        "unique_key": job.key if waits or runs else None,
        "percent": job.percent,
        "words": job.words,
        "waiting_for": job.waiting_for if waits else "",
        "due": EPOCH + timedelta(seconds=job.due) if waits else None,
        "interrupt": job.interrupt and runs,
        "is over": not (waits or runs),
        "expires": job.state == "in_error",
    }


def moment(value: str | datetime) -> datetime:
    """A time as a driver gives it."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value.replace(tzinfo=UTC)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("adapter", STORES)
def test_random_sequences_end_as_in_the_model(adapter: str) -> None:
    machine = type(f"Sequences_{adapter}", (Sequences,), {"adapter": adapter})
    run_state_machine_as_test(
        machine,
        settings=settings(
            # A server takes tens of times longer for one than a file in memory does.
            max_examples=SEQUENCES if adapter == "sqlite" or SEQUENCES > 400 else SEQUENCES // 20,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
