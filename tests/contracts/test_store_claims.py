"""The contract of `jobs.ports.Store`, which every adapter passes: enqueueing and claiming."""

from dataclasses import replace

import pytest

from central_dispatch.jobs.job import MAX_PAYLOAD_BYTES, Claim, NewJob
from central_dispatch.jobs.outcome import Done, Failed
from central_dispatch.jobs.ports import Parent, Store
from job_adapters import SqliteSite
from store_calls import LATER, NOW, SECOND, Q, ended, joined, put, settle, take


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


@pytest.mark.parametrize("name", ["record", "instance", "other"])
@pytest.mark.parametrize("bad", ["a\0b", {"deep": ["\\\0"]}, {"\0": 1}], ids=["text", "deep", "key"])
def test_a_payload_with_a_nul_is_refused_by_every_store_and_said_where(
    store: Store, site: SqliteSite, name: str, bad: object
) -> None:
    innocent = {"fine": "\\u0000 \\\\u0000", "n": 1}
    with pytest.raises(ValueError, match=f"'{name}' holds a NUL"):
        store.enqueue([NewJob(kind=Q, payload=innocent | {name: bad})], NOW)
    assert site.rows() == []
    (job,) = store.enqueue([NewJob(kind=Q, payload=innocent)], NOW)
    assert job is not None
    assert site.row(job)["payload"] == innocent


def test_a_payload_names_its_record_and_its_instance_as_long_as_it_likes(store: Store, site: SqliteSite) -> None:
    # No two characters alike, so that nothing can be compressed to what an index would take.
    long = "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))
    (job,) = store.enqueue([NewJob(kind=Q, payload={"record": long, "instance": long[::-1]})], NOW)
    assert job is not None
    assert site.row(job)["payload"] == {"record": long, "instance": long[::-1]}
