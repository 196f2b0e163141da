"""The contract of `jobs.ports.Store`, which every adapter passes: periods, retention and live pages."""

from datetime import timedelta

import pytest

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.outcome import Done, Failed, Outcome, Stopped
from central_dispatch.jobs.ports import Parent, Store
from central_dispatch.stores.batch import NewBatch
from job_adapters import SqliteSite
from store_calls import LATER, NOW, SECOND, Q, ended, put, settle, take


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


@pytest.mark.parametrize("how", [Failed("no", retryable=False), Stopped("eve")])
def test_a_batch_stays_whole_while_the_job_that_makes_it_can_be_tried_again(
    store: Store, site: SqliteSite, mine: Parent, how: Outcome
) -> None:
    put(store)
    (maker,) = take(store, mine, 1)
    new = NewBatch(job=maker.job, kind=Q, says="", source="a", expected=5, by="")
    batch: int = site.write(lambda table: site.batches.begin(table, new, NOW)).id
    store.enqueue([NewJob(kind=Q, payload={}, batch=batch, batch_index=n) for n in range(2)], NOW)
    for claim in take(store, mine):
        settle(store, claim, Done())
    late = NOW + timedelta(days=2)
    settle(store, maker, how, late)
    # As it is tried again now, it goes on behind the last one that it made.
    assert store.prune(late, timedelta(days=1), 100) == {"dead_letters": 0, "ended": 0}
    assert site.write(lambda table: site.batches.begin(table, new, NOW)).made == 2
    site.write(lambda table: site.batches.complete(table, batch, 2))
    assert store.prune(late, timedelta(days=1), 100)["ended"] == 2


def test_a_batch_goes_once_the_job_that_was_to_make_it_is_gone(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store)
    (maker,) = take(store, mine, 1)
    new = NewBatch(job=maker.job, kind=Q, says="", source="a", expected=5, by="")
    batch: int = site.write(lambda table: site.batches.begin(table, new, NOW)).id
    store.enqueue([NewJob(kind=Q, payload={}, batch=batch, batch_index=0)], NOW)
    settle(store, take(store, mine)[0], Done())
    settle(store, maker, Failed("no", retryable=False))
    far = NOW + timedelta(days=99)
    removed = [store.prune(far, timedelta(days=1), 100) for _ in range(2)]
    assert sum(one["dead_letters"] for one in removed) == 1
    assert sum(one["ended"] for one in removed) == 1


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
