"""The contract of `jobs.ports.Store`, which every adapter passes: settling: every transition."""

from datetime import timedelta
from typing import Any

import pytest

from central_dispatch.jobs.job import Progress
from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.jobs.ports import Parent, Store
from job_adapters import SqliteSite
from store_calls import LATER, NOW, Q, ended, put, settle, take


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


def test_what_a_running_job_printed_so_far_is_kept_and_then_replaced(
    store: Store, site: SqliteSite, mine: Parent
) -> None:
    put(store, 2)
    first, second = take(store, mine)
    store.keep_output({(first.job, first.fence): b"one\n", (second.job, second.fence): b"\xff"})
    store.keep_output({(first.job, first.fence): b"one\ntwo\n"})
    store.keep_output({})
    assert site.open().output(first.job, first.fence) == b"one\ntwo\n"
    assert store.output(second.job, second.fence) == b"\xff"
    assert f"job:{first.job}" in site.topics()
    store.settle([ended(store, first, Done(), output=b"one\ntwo\nthree\n")])
    assert store.output(first.job, first.fence) == b"one\ntwo\nthree\n"
    store.sweep(mine.id, 0, NOW)
    # A worker that died leaves what its jobs had printed.
    assert store.output(second.job, second.fence) == b"\xff"


def test_what_a_deferred_job_waits_for_is_kept_until_it_runs_again(
    store: Store, site: SqliteSite, mine: Parent
) -> None:
    put(store)
    (claim,) = take(store, mine)
    settle(store, claim, Deferred("locked", waits_on="record:1:2"))
    assert site.row(claim.job)["waits_on"] == "record:1:2"
    (again,) = take(store, mine, at=LATER)
    assert site.row(claim.job)["waits_on"] is None
    settle(store, again, Deferred("locked", waits_on="record:1:2"), LATER)
    site.interrupt(claim.job, "eve")
    assert site.row(claim.job)["waits_on"] is None
