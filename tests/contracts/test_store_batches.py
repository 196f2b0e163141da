"""The contract of the stores' batches, in the caller's transaction: made once, counted, acted on as a whole."""

from typing import Any

import pytest

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.outcome import Done, Failed, Stopped
from central_dispatch.jobs.ports import Parent, Store
from central_dispatch.stores.batch import Counts, NewBatch, Opened
from store_calls import NOW, SECOND, Q, put, settle, take

NEW = NewBatch(job=77, kind=Q, says="numbers", source="a", expected=5, by="anna")


def begun(site: Any, new: NewBatch = NEW) -> Opened:
    opened: Opened = site.write(lambda table: site.batches.begin(table, new, NOW))
    return opened


def fill(store: Store, batch: int, first: int, last: int) -> None:
    new = [NewJob(kind=Q, payload={}, batch=batch, batch_index=n) for n in range(first, last + 1)]
    store.enqueue(new, NOW)


def counts(site: Any, batch: int) -> Counts:
    found: Counts = site.write(lambda table: site.batches.count(table, batch, NOW))
    return found


def test_a_batch_is_made_once_for_its_job_and_goes_on_behind_the_last_that_was_made(store: Store, site: Any) -> None:
    first = begun(site)
    assert (first.source, first.made) == ("a", 0)
    fill(store, first.id, 0, 2)
    again = begun(site, NewBatch(job=77, kind=Q, says="else", source="b", expected=9, by="eve"))
    assert again == Opened(first.id, "a", 3)
    assert begun(site, NewBatch(job=78, kind=Q, says="", source="", expected=0, by="")).id != first.id
    row = site.batch(first.id)
    assert (row["kind"], row["says"], row["expected"], row["total"], row["created_by"]) == (
        Q,
        "numbers",
        5,
        None,
        "anna",
    )
    site.write(lambda table: site.batches.complete(table, first.id, 5))
    assert site.batch(first.id)["total"] == 5


def test_its_jobs_are_counted_by_state_and_those_that_ended_lately(store: Store, site: Any, mine: Parent) -> None:
    batch = begun(site).id
    fill(store, batch, 0, 4)
    put(store, 2)
    claims = take(store, mine, 4)
    settle(store, claims[0], Done(), NOW - SECOND)
    settle(store, claims[1], Failed("no", retryable=False), NOW + SECOND)
    settle(store, claims[2], Stopped("eve"), NOW + SECOND)
    found = counts(site, batch)
    assert found == Counts(waiting=1, running=1, finished=1, in_error=1, interrupted=1, ended_lately=2)
    assert (found.made, found.ended) == (5, 3)
    assert counts(site, batch + 99) == Counts()


def test_of_a_batch_the_jobs_in_a_state_are_found_and_those_that_run_are_asked_to_stop(
    store: Store, site: Any, mine: Parent
) -> None:
    batch = begun(site).id
    fill(store, batch, 0, 3)
    (other,) = put(store)
    running = [claim.job for claim in take(store, mine, 2)]
    waiting = site.write(lambda table: site.batches.in_state(table, batch, "waiting", "in_error"))
    assert len(waiting) == 2
    assert other not in waiting
    assert site.write(lambda table: site.batches.ask_to_stop(table, batch, "eve")) == sorted(running)
    assert {site.row(job)["interrupt_by"] for job in running} == {"eve"}


# Unique keys, when people act


@pytest.fixture
def dead(store: Store, mine: Parent) -> int:
    """A dead letter whose key another job has taken since."""
    (job,) = put(store, unique_key="k")
    settle(store, take(store, mine)[0], Failed("no", retryable=False))
    put(store, unique_key="k")
    return job


def test_a_dead_letter_whose_key_is_held_is_not_tried_again_until_the_key_is_free(
    store: Store, site: Any, mine: Parent, dead: int
) -> None:
    assert site.write(lambda table: site.acts.retry(table, dead, NOW)) == "key held"
    assert site.write(lambda table: site.acts.requeue(table, [dead], NOW)) == []
    (holder,) = take(store, mine)
    assert site.write(lambda table: site.acts.retry(table, dead, NOW)) == "key held"  # it runs
    settle(store, holder, Done())
    assert site.write(lambda table: site.acts.retry(table, dead, NOW)) == "waiting"
    assert put(store, unique_key="k") == []  # and holds its key again
    assert [claim.job for claim in take(store, mine)] == [dead]


def test_of_two_dead_letters_of_one_key_one_is_tried_again(store: Store, site: Any, mine: Parent) -> None:
    both = []
    for _ in range(2):
        both += put(store, unique_key="k")
        settle(store, take(store, mine)[0], Failed("no", retryable=False))
    assert site.write(lambda table: site.acts.requeue(table, both, NOW)) == both[:1]


def test_an_interrupted_jobs_key_is_free_at_once(store: Store, site: Any) -> None:
    (job,) = put(store, unique_key="k")
    assert site.interrupt(job, "eve") == "interrupted"
    assert len(put(store, unique_key="k")) == 1
