"""The same random calls on all stores end in the same rows and histories, column by column."""

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central_dispatch.jobs.job import Claim, NewJob, Progress
from central_dispatch.jobs.lock import Lock
from central_dispatch.jobs.outcome import Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.jobs.ports import Parent, Settled
from central_dispatch.jobs.settling import settle as decide
from job_adapters import STORES

SEQUENCES = int(os.environ.get("CENTRAL_DISPATCH_SEQUENCES", "15"))
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
QUEUES = ("ftp", "tight")
OUTCOMES: tuple[Outcome, ...] = (
    Done({"ä": [1, None]}),
    Failed('no: ’ü\\ "%s" {}'),
    Failed("never", retryable=False),
    Deferred("locked", after_s=7.0, waits_on="record:1"),
    Released(),
    Stopped("eve", "why"),
)
#: What the rows must have in common; numbers of rows differ, as a database uses some up.
COLUMNS = (
    "queue", "state", "waiting_for", "priority", "due_at", "waits_on", "payload", "unique_key", "given_key", "batch",
    "batch_index", "attempts", "deferrals", "fence", "parent", "interrupt_by", "percent", "words", "error", "ended_by",
    "result", "enqueued_by", "created_at", "started_at", "ended_at", "expires_at",
)  # fmt: skip
which = st.integers(0, 30)
KEYS = st.sampled_from([None, "k ", "K", "k"])
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("enqueue"), st.sampled_from(QUEUES), st.sampled_from([0, 5, 9]), KEYS),
        st.tuples(st.just("claim"), st.sampled_from(QUEUES), st.integers(1, 4), st.none()),
        st.tuples(st.just("settle"), which, st.integers(0, len(OUTCOMES) - 1), st.none()),
        st.tuples(st.just("lock"), which, st.booleans(), st.none()),
        st.tuples(st.just("interrupt"), which, st.none(), st.none()),
        st.tuples(st.just("progress"), which, st.integers(-5, 120), st.none()),
        st.tuples(st.just("sweep"), st.none(), st.none(), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([1, 8, 90]), st.none(), st.none()),
        st.tuples(st.just("epoch"), st.none(), st.none(), st.none()),
    ),
    max_size=40,
)  # fmt: skip


class Player:
    """Makes the calls on one store; jobs are named by the order in which they were made."""

    def __init__(self, adapter: str, directory: Path) -> None:
        self.site = STORES[adapter](directory)
        self.store = self.site.open()
        for queue in QUEUES:
            self.store.change_settings(queue, {"backoff": "fixed"})
        self.now = EPOCH
        self.jobs: list[int] = []
        self.claims: list[Claim] = []
        self.parents = 0
        self.said: list[Any] = []
        self.join()

    def join(self) -> None:
        self.parents += 1
        self.parent = Parent(f"{self.parents:032x}", "host", 1000 + self.parents, QUEUES, 4)
        self.store.register(self.parent, self.now)

    def play(self, call: tuple[Any, ...]) -> None:
        name, a, b, c = call
        answer = getattr(self, name)(*[value for value in (a, b, c) if value is not None or name == "enqueue"])
        self.said.append((name, answer))

    def enqueue(self, queue: str, priority: int, key: str | None) -> list[bool]:
        made = self.store.enqueue(
            [NewJob(kind=queue, payload={"n": 1}, priority=priority, unique_key=key)] * 2, self.now
        )
        self.jobs += [job for job in made if job is not None]
        return [job is not None for job in made]

    def claim(self, queue: str, limit: int) -> list[tuple[int, int]]:
        claims = self.store.claim(queue, self.parent.id, limit, self.now)
        self.claims += claims
        return [(self.jobs.index(claim.job), claim.fence) for claim in claims]

    def settle(self, which: int, outcome: int) -> list[bool]:
        if not self.claims:
            return []
        claim = self.claims[which % len(self.claims)]
        settlement = decide(claim, OUTCOMES[outcome], self.store.settings(claim.kind), self.now, 0.5)
        return self.store.settle([Settled(claim, settlement, 1, self.now, self.now, "x", b"text")])  # type: ignore[no-any-return] # a store

    def lock(self, which: int, shared: bool) -> Any:  # noqa: FBT001 a draw
        if not self.claims:
            return None
        claim = self.claims[which % len(self.claims)]
        try:
            holders = self.store.lock(claim.job, claim.fence, [Lock("record:1", shared)], self.now)
        except LookupError:
            return "gone"
        return [(self.jobs.index(holder.job), holder.shared, holder.waits) for holder in holders]

    def interrupt(self, which: int) -> Any:
        return self.site.interrupt(self.jobs[which % len(self.jobs)], "eve") if self.jobs else None

    def progress(self, which: int, percent: int) -> None:
        if self.claims:
            claim = self.claims[which % len(self.claims)]
            self.store.progress({(claim.job, claim.fence): Progress(percent, f"ö {percent}")})

    def sweep(self) -> list[int]:
        freed = self.store.sweep(self.parent.id, 0, self.now)
        self.join()
        return [self.jobs.index(job) for job in freed]

    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def epoch(self) -> list[int]:
        freed = self.store.raise_epoch(self.now)
        self.join()
        return [self.jobs.index(job) for job in freed]

    def end(self) -> tuple[list[Any], list[Any]]:
        """What was answered, and what the rows and histories hold; of what a person did, not the time of day."""
        rows = []
        for job in self.jobs:
            row = self.site.row(job)
            if row["ended_at"] and row["ended_at"] > EPOCH + timedelta(days=2):
                row["ended_at"] = "by hand"
            history = [
                (one["fence"], one["outcome"], one["error"], one["output_bytes"]) for one in self.site.history(job)
            ]
            rows.append(([row[column] for column in COLUMNS], history))
        self.site.close()
        return self.said, rows


@pytest.mark.timeout(3600)
@given(calls=CALLS)
@settings(max_examples=SEQUENCES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
def test_all_stores_answer_alike_and_hold_the_same_in_the_end(calls: list[tuple[Any, ...]]) -> None:
    ends = {}
    for adapter in STORES:
        with tempfile.TemporaryDirectory() as directory:
            player = Player(adapter, Path(directory))
            for call in calls:
                player.play(call)
            ends[adapter] = player.end()
    assert ends["postgresql"] == ends["sqlite"]
    assert ends["mariadb"] == ends["sqlite"]
