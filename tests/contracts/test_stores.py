"""The contract of `jobs.ports.Store`, which every adapter passes."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.jobs.job import MAX_PAYLOAD_BYTES, Claim, NewJob, Progress
from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.jobs.ports import Parent, Settled, Store
from central_dispatch.jobs.settling import settle as decide
from job_adapters import STORES, SqliteSite

Q = "subdefCreation"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
SECOND = timedelta(seconds=1)
_numbers = count(1)


@pytest.fixture(params=STORES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteSite]:
    made = STORES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(site: SqliteSite) -> Store:
    return site.open()


@pytest.fixture
def mine(store: Store) -> Parent:
    return joined(store)


def joined(store: Store, host: str = "host", pid: int = 0, slots: int = 10) -> Parent:
    number = next(_numbers)
    parent = Parent(f"{number:032x}", host, pid or 1_000_000 + number, (Q,), slots)
    store.register(parent, NOW)
    return parent


def put(store: Store, amount: int = 1, at: datetime = NOW, queue: str = Q, **more: Any) -> list[int]:
    made = store.enqueue([NewJob(kind=queue, payload={"n": n}, **more) for n in range(amount)], at)
    return [job for job in made if job is not None]


def ended(store: Store, claim: Claim, outcome: Outcome, at: datetime = NOW, output: bytes = b"") -> Settled:
    settlement = decide(claim, outcome, store.settings(claim.kind), at, 0.5)
    return Settled(claim, settlement, 4711, at, at, type(outcome).__name__.lower(), output)


def settle(store: Store, claim: Claim, outcome: Outcome, at: datetime = NOW) -> bool:
    (written,) = store.settle([ended(store, claim, outcome, at)])
    return written


def take(store: Store, parent: Parent, limit: int = 10, at: datetime = NOW, queue: str = Q) -> list[Claim]:
    return store.claim(queue, parent.id, limit, at)


# Enqueue and claim


def test_a_job_comes_out_as_it_went_in(store: Store, mine: Parent) -> None:
    new = NewJob(kind=Q, payload={"ä": [1, None, {"x": 1.5}]}, payload_version=3, priority=7, batch=4, batch_index=0)
    (job,) = store.enqueue([new], NOW)
    (claim,) = take(store, mine)
    assert (claim.job, claim.kind, claim.payload, claim.payload_version) == (job, Q, new.payload, 3)
    assert (claim.priority, claim.batch, claim.attempts, claim.deferrals) == (7, 4, 0, 0)


def test_a_claimed_job_is_nobody_elses(store: Store, site: SqliteSite, mine: Parent) -> None:
    (job,) = put(store)
    assert len(take(store, mine)) == 1
    assert take(store, joined(site.open())) == []
    assert site.row(job)["state"] == "running"


def test_the_highest_priority_goes_first_then_what_was_due_first(store: Store, mine: Parent) -> None:
    low, old, new, high = (
        put(store, priority=priority, at=at)[0]
        for priority, at in ((0, NOW - SECOND), (5, NOW - SECOND), (5, NOW), (9, NOW))
    )
    first = take(store, mine, limit=3)
    assert [claim.job for claim in first] == [high, old, new]
    assert [claim.job for claim in take(store, mine)] == [low]


def test_a_job_for_later_waits_and_does_not_hide_what_is_due(store: Store, mine: Parent) -> None:
    put(store, 50, priority=9, due_at=LATER)
    (due,) = put(store, priority=0)
    assert [claim.job for claim in take(store, mine)] == [due]
    assert len(take(store, mine, limit=99, at=LATER)) == 50


def test_queues_do_not_touch_each_other(store: Store, mine: Parent) -> None:
    put(store, queue="ftp")
    assert take(store, mine) == []
    assert len(take(store, mine, queue="ftp")) == 1


def test_a_claim_takes_no_more_than_its_limit(store: Store, mine: Parent) -> None:
    put(store, 5)
    assert len(take(store, mine, limit=2)) == 2
    assert take(store, mine, limit=0) == []
    assert len(take(store, mine, limit=99)) == 3


def test_large_batches_come_through_whole(store: Store, mine: Parent) -> None:
    jobs = put(store, 1000)
    claims: list[Claim] = []
    while some := take(store, mine, limit=700):
        claims += some
    assert sorted(claim.job for claim in claims) == sorted(jobs)
    assert all(store.settle([ended(store, claim, Done()) for claim in claims]))


def test_of_a_key_one_job_waits_or_runs_in_its_queue(store: Store, mine: Parent) -> None:
    (first,) = put(store, unique_key="k")
    assert put(store, unique_key="k") == []
    assert len(put(store, unique_key="k", queue="ftp")) == 1
    (claim,) = take(store, mine)
    assert put(store, unique_key="k") == []  # it runs
    settle(store, claim, Failed("once"))
    assert put(store, unique_key="k") == []  # it waits for a retry
    (claim,) = take(store, mine, at=LATER)
    assert claim.job == first
    settle(store, claim, Done(), LATER)
    assert len(put(store, unique_key="k")) == 1


def test_two_of_a_key_in_one_call_are_one(store: Store) -> None:
    new = NewJob(kind=Q, payload={}, unique_key="k")
    made = store.enqueue([new, new, replace(new, unique_key="other")], NOW)
    assert [job is None for job in made] == [False, True, False]


def test_a_batchs_number_is_taken_once_for_ever(store: Store, mine: Parent) -> None:
    batch = [NewJob(kind=Q, payload={}, batch=1, batch_index=n) for n in range(600)]
    assert None not in store.enqueue(batch[:400], NOW)
    settle(store, take(store, mine, limit=1)[0], Done())
    made = store.enqueue(batch, NOW)
    assert [job is None for job in made] == [True] * 400 + [False] * 200


@pytest.mark.parametrize(
    "bad",
    [
        NewJob(kind=Q, payload={"x": "x" * MAX_PAYLOAD_BYTES}),
        NewJob(kind=Q, payload={}, priority=10),
        NewJob(kind=Q, payload={}, priority=-1),
        NewJob(kind=Q, payload={"x": float("nan")}),
        NewJob(kind=Q, payload={}, batch=1),
    ],
)
def test_what_cannot_be_a_job_is_refused_whole(store: Store, site: SqliteSite, bad: NewJob) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        store.enqueue([NewJob(kind=Q, payload={}), bad], NOW)
    assert site.rows() == []


def test_one_job_can_be_claimed_by_its_number_whatever_its_queue_says(store: Store, mine: Parent) -> None:
    _other, job = put(store, 2, due_at=LATER)
    store.change_settings(Q, {"paused": True})
    claim = store.claim_job(job, mine.id, NOW)
    assert claim is not None
    assert claim.job == job
    assert store.claim_job(job, mine.id, NOW) is None
    assert settle(store, claim, Done())
    assert store.claim_job(job, mine.id, NOW) is None


# Settling: every transition


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (
            Done({"size": 3}),
            {"state": "finished", "attempts": 1, "result": {"size": 3}, "ended_at": NOW, "percent": 100},
        ),
        (Failed("no", retryable=False), {"state": "in_error", "attempts": 1, "error": "no", "ended_at": NOW}),
        (Failed("no"), {"state": "waiting", "waiting_for": "retry", "attempts": 1, "error": "no", "ended_at": None}),
        (Crashed("oom"), {"state": "waiting", "waiting_for": "retry", "attempts": 1, "error": "oom"}),
        (Deferred("locked"), {"state": "waiting", "waiting_for": "deferred", "attempts": 0, "deferrals": 1}),
        (Stopped("eve", "why"), {"state": "interrupted", "attempts": 0, "ended_by": "eve", "error": "why"}),
        (Released(), {"state": "waiting", "waiting_for": "new", "attempts": 0, "deferrals": 0, "due_at": NOW}),
    ],
)
def test_each_outcome_is_written(
    store: Store, site: SqliteSite, mine: Parent, outcome: Outcome, expected: dict[str, Any]
) -> None:
    put(store)
    (claim,) = take(store, mine)
    assert settle(store, claim, outcome)
    row = site.row(claim.job)
    assert {name: row[name] for name in expected} == expected
    assert row["parent"] is None
    (entry,) = site.history(claim.job)
    assert (entry["outcome"], entry["child_pid"], entry["host"], entry["parent_pid"]) == (
        type(outcome).__name__.lower(),
        4711,
        mine.host,
        mine.pid,
    )


def test_a_retry_comes_back_at_its_time_with_a_higher_fence_and_its_count(store: Store, mine: Parent) -> None:
    put(store)
    (first,) = take(store, mine)
    settle(store, first, Failed("no"))
    assert take(store, mine) == []
    due = store.next_due([Q], NOW)
    assert due is not None
    (second,) = take(store, mine, at=due)
    assert second.fence > first.fence
    assert second.attempts == 1


def test_the_last_attempt_is_a_dead_letter_with_its_expiry_and_whole_history(
    store: Store, site: SqliteSite, mine: Parent
) -> None:
    (job,) = put(store)
    at = NOW
    for _ in range(3):
        (claim,) = take(store, mine, at=at)
        settle(store, claim, Failed("no"), at)
        at += timedelta(hours=1)
    assert take(store, mine, at=at + timedelta(days=9)) == []
    row = site.row(job)
    assert (row["state"], row["attempts"]) == ("in_error", 3)
    assert row["expires_at"] == at - timedelta(hours=1) + timedelta(hours=96)
    assert [entry["outcome"] for entry in site.history(job)] == ["failed"] * 3


def test_an_interrupt_that_was_asked_for_ends_a_job_that_would_be_tried_again(
    store: Store, site: SqliteSite, mine: Parent
) -> None:
    put(store)
    (claim,) = take(store, mine)
    assert site.interrupt(claim.job, "eve") == "asked"
    assert settle(store, claim, Failed("signal"))
    assert (site.row(claim.job)["state"], site.row(claim.job)["ended_by"]) == ("interrupted", "eve")


def test_a_job_that_finished_before_its_interrupt_is_finished(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    site.interrupt(claim.job, "eve")
    settle(store, claim, Done())
    assert site.row(claim.job)["state"] == "finished"


def test_a_settlement_is_written_once_however_often_it_is_repeated(
    store: Store, site: SqliteSite, mine: Parent
) -> None:
    put(store)
    (claim,) = take(store, mine)
    done = ended(store, claim, Done({"n": 1}))
    assert store.settle([done, done]) == [True, False]
    assert store.settle([ended(store, claim, Failed("late"))]) == [False]
    assert (site.row(claim.job)["state"], len(site.history(claim.job))) == ("finished", 1)


def test_an_older_fence_writes_nothing(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store)
    (old,) = take(store, mine)
    settle(store, old, Released())
    (new,) = take(store, mine)
    before = site.row(old.job)
    assert not settle(store, old, Done())
    store.progress({(old.job, old.fence): Progress(50, "old")})
    assert site.row(old.job) == before
    assert store.interruptions([(old.job, old.fence), (new.job, new.fence)]) == [(old.job, "")]
    assert settle(store, new, Done())


def test_one_lost_fence_in_a_batch_does_not_stop_the_others(store: Store, mine: Parent) -> None:
    put(store, 3)
    claims = take(store, mine)
    settle(store, claims[1], Released())
    assert store.settle([ended(store, claim, Done()) for claim in claims]) == [True, False, True]


def test_output_is_kept_by_execution(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    store.settle([ended(store, claim, Failed("no"), output=b"first \xff")])
    (again,) = take(store, mine, at=LATER)
    store.settle([ended(store, again, Done(), at=LATER)])
    assert site.open().output(claim.job, claim.fence) == b"first \xff"
    assert store.output(claim.job, again.fence) == b""
    assert [entry["output_bytes"] for entry in site.history(claim.job)] == [7, 0]


def test_of_endless_output_the_end_is_kept(store: Store, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    store.settle([ended(store, claim, Failed("no"), output=b"x" * 10_000_000 + b"the error")])
    kept = store.output(claim.job, claim.fence)
    assert kept.endswith(b"the error")
    assert len(kept) <= 128 * 1024


def test_progress_is_noted_and_begins_anew_with_each_execution(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    store.progress({(claim.job, claim.fence): Progress(140.0, "w" * 5000)})
    assert site.row(claim.job)["percent"] == 100
    assert 0 < len(site.row(claim.job)["words"]) <= 1000
    settle(store, claim, Failed("no"))
    take(store, mine, at=LATER)
    assert (site.row(claim.job)["percent"], site.row(claim.job)["words"]) == (None, "")


def test_interruptions_name_who_asked(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store, 2)
    first, second = take(store, mine)
    site.interrupt(second.job, "eve")
    held = [(first.job, first.fence), (second.job, second.fence)]
    assert store.interruptions(held) == [(second.job, "eve")]
    assert store.interruptions([]) == []


# Settings


def test_a_paused_queue_gives_nothing_until_it_goes_on_and_takes_new_jobs(store: Store, mine: Parent) -> None:
    put(store)
    store.change_settings(Q, {"paused": True})
    put(store)
    assert take(store, mine) == []
    assert store.next_due([Q], NOW) is None
    store.change_settings(Q, {"paused": False})
    assert len(take(store, mine)) == 2


def test_a_limit_holds_over_all_parents_and_frees_room_as_jobs_end(store: Store, site: SqliteSite) -> None:
    first, second = joined(store), joined(site.open())
    put(store, 10, queue="tight")
    a = take(store, first, limit=2, queue="tight")
    b = take(store, second, limit=9, queue="tight")
    assert (len(a), len(b)) == (2, 1)
    assert store.next_due(["tight"], NOW) is None
    assert take(store, first, queue="tight") == []
    settle(store, a[0], Done())
    assert len(take(store, second, queue="tight")) == 1
    store.change_settings("tight", {"concurrency": 5})
    assert len(take(store, first, queue="tight")) == 2
    store.change_settings("tight", {"concurrency": None})
    assert len(take(store, first, queue="tight")) == 4


def test_many_parents_at_once_take_each_job_once_and_never_pass_the_limit(store: Store, site: SqliteSite) -> None:
    put(store, 60, queue="tight")
    taken: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        own = site.open()
        parent = joined(own, pid=2_000_000 + number)
        while True:
            with lock:
                if len(taken) == 60:
                    return
            for claim in take(own, parent, limit=2, queue="tight"):
                running = sum(row["state"] == "running" for row in site.rows())
                with lock:
                    most.append(running)
                    taken.append(claim.job)
                assert settle(own, claim, Done())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(set(taken)) == 60
    assert max(most) <= 3


def test_settings_are_the_kinds_own_until_changed_and_each_change_keeps_the_others(
    store: Store, site: SqliteSite
) -> None:
    assert store.settings("once").max_attempts == 1
    store.change_settings("once", {"max_attempts": 4})
    store.change_settings("once", {"retry_delay_s": 2})
    found = site.open().settings("once")
    assert (found.max_attempts, found.retry_delay_s, found.paused) == (4, 2.0, False)


@pytest.mark.parametrize("changes", [{"max_attempts": 0}, {"no_such": 1}, {"backoff": "x"}, {"retention_h": "x"}])
def test_bad_settings_change_nothing_and_are_named(store: Store, changes: dict[str, Any]) -> None:
    before = store.settings(Q)
    with pytest.raises(ValueError, match=next(iter(changes))):
        store.change_settings(Q, changes)
    assert store.settings(Q) == before


def test_next_due_is_the_nearest_of_the_queues_asked_for(store: Store, mine: Parent) -> None:
    assert store.next_due([Q, "ftp"], NOW) is None
    put(store, due_at=LATER, priority=9)
    put(store, due_at=NOW + SECOND, priority=1)
    put(store, queue="ftp")
    assert store.next_due([Q], NOW) == NOW + SECOND
    assert store.next_due([Q, "ftp"], NOW) == NOW
    take(store, mine, at=NOW + SECOND)
    assert store.next_due([Q], NOW) == LATER
    assert store.next_due([], NOW) is None


# Parents and leases


def test_a_parent_that_is_not_registered_claims_nothing(store: Store) -> None:
    (job,) = put(store)
    assert store.claim(Q, "f" * 32, 1, NOW) == []
    assert store.claim_job(job, "f" * 32, NOW) is None


def test_a_sweep_with_an_unchanged_counter_frees_all_and_strikes_the_parent_off(
    store: Store, site: SqliteSite, mine: Parent
) -> None:
    put(store, 2)
    claims = take(store, mine)
    (beat,) = store.beats()
    assert store.sweep(mine.id, beat.count, NOW) == sorted(claim.job for claim in claims)
    assert not store.beat(mine.id)
    assert store.beats() == []
    assert take(store, mine) == []
    assert store.settle([ended(store, claim, Done()) for claim in claims]) == [False, False]
    again = take(store, joined(site.open()))
    assert [claim.attempts for claim in again] == [1, 1]
    assert [entry["outcome"] for entry in site.history(claims[0].job)] == ["crashed"]


def test_a_sweep_with_a_counter_that_moved_frees_nothing(store: Store, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    (seen,) = store.beats()
    assert store.beat(mine.id)
    assert store.sweep(mine.id, seen.count, NOW) == []
    assert settle(store, claim, Done())


def test_two_sweepers_free_once(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    (seen,) = store.beats()
    assert store.sweep(mine.id, seen.count, NOW) == [claim.job]
    assert site.open().sweep(mine.id, seen.count, NOW) == []
    assert site.row(claim.job)["attempts"] == 1


def test_a_parent_frees_at_once_what_a_dead_one_of_its_host_held(store: Store, site: SqliteSite) -> None:
    dead, alive, elsewhere = joined(store, pid=10), joined(store, pid=11), joined(store, "other", 10)
    put(store, 3)
    (lost,) = take(store, dead, limit=1)
    kept = [*take(store, alive, limit=1), *take(store, elsewhere, limit=1)]
    site.gone.add(10)
    fresh = Parent("e" * 32, "host", 12, (Q,), 1)
    assert store.register(fresh, NOW) == [lost.job]
    assert {beat.parent for beat in store.beats()} == {alive.id, elsewhere.id, fresh.id}
    assert all(settle(store, claim, Done()) for claim in kept)
    (again,) = take(store, fresh)
    assert (again.job, again.attempts) == (lost.job, 1)


def test_a_parent_of_the_same_process_number_is_a_dead_predecessor(store: Store) -> None:
    before = joined(store, pid=1)
    put(store)
    (claim,) = take(store, before)
    assert store.register(Parent("e" * 32, "host", 1, (Q,), 1), NOW) == [claim.job]


def test_a_job_that_kills_its_parents_ends_as_a_dead_letter(store: Store, site: SqliteSite) -> None:
    (job,) = put(store)
    for _ in range(3):
        parent = joined(store)
        take(store, parent)
        store.sweep(parent.id, 0, NOW)
    assert (site.row(job)["state"], site.row(job)["attempts"]) == ("in_error", 3)
    assert "worker" in site.row(job)["error"]


def test_a_freed_job_whose_interrupt_was_asked_for_is_interrupted(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    site.interrupt(claim.job, "eve")
    store.sweep(mine.id, 0, NOW)
    assert (site.row(claim.job)["state"], site.row(claim.job)["ended_by"]) == ("interrupted", "eve")


def test_who_leaves_is_struck_off_unless_he_still_holds_something(store: Store, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    store.leave(mine.id)
    assert [beat.parent for beat in store.beats()] == [mine.id]
    settle(store, claim, Released())
    store.leave(mine.id)
    assert store.beats() == []


def test_a_restored_database_makes_all_fences_worthless(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store, 2)
    (before,) = take(store, mine, limit=1)
    store.raise_epoch(NOW)
    assert not store.beat(mine.id)
    assert not settle(store, before, Done())
    again = take(store, joined(store))
    # Higher than whatever was given after the backup was made.
    assert min(claim.fence for claim in again) > before.fence + 1_000_000
    assert [claim.attempts for claim in again] == [0, 0]
    assert not settle(store, replace(before, fence=before.fence + 1), Done())
    assert site.row(before.job)["state"] == "running"


# The clock


def test_a_clock_set_back_strands_nothing(store: Store, mine: Parent) -> None:
    due, retried = put(store, 2)
    claims = {claim.job: claim for claim in take(store, mine)}
    settle(store, claims[due], Released())
    settle(store, claims[retried], Failed("no"))
    (dated,) = put(store, due_at=LATER)
    back = NOW - timedelta(hours=5)
    assert [claim.job for claim in take(store, mine, at=back)] == [due]
    # The delay of the retry keeps its length, counted from the step back.
    assert [claim.job for claim in take(store, mine, at=back + timedelta(seconds=30))] == [retried]
    assert store.next_due([Q], back) == LATER
    assert [claim.job for claim in take(store, mine, at=LATER)] == [dated]


def test_a_clock_set_back_doubles_nothing(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    back = NOW - timedelta(days=400)
    assert take(store, joined(site.open()), at=back) == []
    assert settle(store, claim, Done(), back)


# Schedules and retention


def test_a_scheduled_queue_gets_one_job_a_period_and_none_while_one_is_open(
    store: Store, site: SqliteSite, mine: Parent
) -> None:
    periods = {Q: 60.0}
    assert store.enqueue_scheduled(periods, NOW) == [Q]
    assert site.open().enqueue_scheduled(periods, NOW) == []
    (claim,) = take(store, mine)
    minute = timedelta(minutes=1)
    assert store.enqueue_scheduled(periods, NOW + minute) == []  # it still runs
    settle(store, claim, Done(), NOW + minute)
    assert store.enqueue_scheduled(periods, NOW + minute * 1.5) == []  # that turn was left out
    assert store.enqueue_scheduled(periods, NOW + minute * 2) == [Q]
    assert len(site.rows()) == 2


def test_a_schedule_goes_on_after_the_clock_was_set_back(store: Store, mine: Parent) -> None:
    store.enqueue_scheduled({Q: 60.0}, NOW)
    settle(store, take(store, mine)[0], Done())
    back = NOW - timedelta(days=30)
    assert store.enqueue_scheduled({Q: 60.0}, back) == [Q]
    assert store.enqueue_scheduled({Q: 60.0}, back + SECOND) == []


def test_pruning_removes_what_is_over_and_due_and_nothing_else(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store, 5)
    a, b, c, _running, _also = take(store, mine)
    store.settle([ended(store, a, Done(), output=b"text"), ended(store, b, Failed("x", retryable=False))])
    settle(store, c, Done(), LATER + timedelta(days=30))
    (waiting,) = put(store, due_at=LATER)
    week = timedelta(days=7)
    assert store.prune(NOW + timedelta(days=1), week, 100) == {"dead_letters": 0, "ended": 0}
    assert store.prune(NOW + timedelta(days=5), week, 100) == {"dead_letters": 1, "ended": 0}
    assert store.prune(NOW + timedelta(days=8), week, 100) == {"dead_letters": 0, "ended": 1}
    left = {row["id"] for row in site.rows()}
    assert left == {c.job, _running.job, _also.job, waiting}
    assert (site.history(a.job), store.output(a.job, a.fence)) == ([], b"")


def test_a_batch_is_pruned_only_once_none_of_it_is_open(store: Store, mine: Parent) -> None:
    store.enqueue([NewJob(kind=Q, payload={}, batch=1, batch_index=n) for n in range(2)], NOW)
    first, second = take(store, mine)
    settle(store, first, Done())
    far = NOW + timedelta(days=99)
    assert store.prune(far, timedelta(days=1), 100)["ended"] == 0
    settle(store, second, Done())
    assert store.prune(far, timedelta(days=1), 100)["ended"] == 2


# Live pages


def test_what_changes_is_announced_and_the_lists_hints_do_not_pile_up(
    store: Store, site: SqliteSite, mine: Parent
) -> None:
    for _ in range(5):
        (job,) = put(store)
        (claim,) = take(store, mine)
        settle(store, claim, Done())
    topics = site.topics()
    assert topics.count("jobs") == topics.count("queues") == 1
    assert topics.count(f"job:{job}") == 3
    assert topics[-2:] == ["jobs", "queues"]


# Faults


_CLAIM_AND_HANG = """
import sys, time
sys.path[:0] = {path!r}
from datetime import datetime, UTC
from job_adapters import *
from central_dispatch.jobs.ports import Parent
import os
store = {store}
store.register(Parent("d" * 32, "host", os.getpid(), ("q",), 5), datetime.now(UTC))
print(len(store.claim({queue!r}, "d" * 32, 5, datetime.now(UTC))), flush=True)
time.sleep(600)
"""
_WORK = """
import sys
sys.path[:0] = {path!r}
from datetime import datetime, UTC
from job_adapters import *
from central_dispatch.jobs.job import Settlement
from central_dispatch.jobs.ports import Parent, Settled
import os
store = {store}
now = datetime.now(UTC)
store.register(Parent("d" * 32, "host", os.getpid(), ("q",), 5), now)
while claims := store.claim({queue!r}, "d" * 32, 7, datetime.now(UTC)):
    done = [
        Settled(claim, Settlement(state="finished", attempts=claim.attempts + 1, deferrals=0), 1, now, now, "done")
        for claim in claims
    ]
    print(sum(store.settle(done)), flush=True)
"""


def process(site: SqliteSite, text: str) -> "subprocess.Popen[str]":
    script = text.format(path=sys.path, store=site.expression, queue=Q)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def kill(child: "subprocess.Popen[str]") -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.stdout
    child.stdout.close()


def test_a_parent_killed_between_claim_and_settlement_loses_nothing(store: Store, site: SqliteSite) -> None:
    jobs = put(store, 5)
    child = process(site, _CLAIM_AND_HANG)
    assert child.stdout
    assert child.stdout.readline() == "5\n"
    kill(child)
    site.gone.add(child.pid)
    mine = Parent("e" * 32, "host", 1, (Q,), 5)
    assert store.register(mine, NOW) == jobs
    assert [claim.job for claim in take(store, mine)] == jobs


def test_a_parent_killed_at_its_work_leaves_each_job_done_once(store: Store, site: SqliteSite) -> None:
    jobs = put(store, 2000)
    child = process(site, _WORK)
    assert child.stdout
    for _ in range(20):
        assert child.stdout.readline() == "7\n"
    kill(child)
    site.gone.add(child.pid)
    mine = Parent("e" * 32, "host", 1, (Q,), 5)
    store.register(mine, NOW)
    while claims := take(store, mine, limit=300, at=datetime.now(UTC)):
        assert all(store.settle([ended(store, claim, Done()) for claim in claims]))
    assert {row["state"] for row in site.rows()} == {"finished"}
    for job in jobs[:400]:
        assert [entry["outcome"] for entry in site.history(job)].count("done") == 1
