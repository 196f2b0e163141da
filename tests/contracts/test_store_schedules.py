"""The contract of `jobs.ports.Store` for named schedules and assignments."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from central_dispatch.jobs.assignment import Assignment
from central_dispatch.jobs.job import Claim, NewJob
from central_dispatch.jobs.outcome import Done, Failed
from central_dispatch.jobs.ports import Depth, Parent, Store
from central_dispatch.jobs.schedule import Schedule
from job_adapters import SqliteSite
from store_calls import ended

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEXT = NOW + timedelta(days=1)
AFTER = NEXT + timedelta(days=1)
NIGHTLY = Schedule(
    name="nightly",
    queue="tight",
    expression="0 12 * * *",
    zone="Europe/Berlin",
    payload={"what": ["ä", 1]},
    payload_version=2,
    priority=7,
    next_run_at=NEXT,
)
WORKER = Parent("a" * 32, "host", 1_000_001, ("tight",), 4)


@pytest.fixture
def store(site: SqliteSite) -> Store:
    opened = site.open()
    opened.register(WORKER, NOW)
    return opened


def claimed(store: Store) -> list[Claim]:
    return store.claim("tight", WORKER.id, 10, AFTER)


def test_a_schedule_comes_out_as_it_went_in(store: Store) -> None:
    store.put_schedule(NIGHTLY)
    off = replace(NIGHTLY, name="another", is_on=False, next_run_at=None, payload={})
    store.put_schedule(off)
    assert store.schedules() == [off, NIGHTLY]


def test_a_due_run_makes_the_schedules_job_and_notes_it(store: Store) -> None:
    store.put_schedule(NIGHTLY)
    job = store.run_schedule("nightly", NEXT, AFTER, NEXT)
    [claim] = claimed(store)
    assert claim.job == job
    assert (claim.kind, claim.payload, claim.payload_version, claim.priority) == ("tight", {"what": ["ä", 1]}, 2, 7)
    [after] = store.schedules()
    assert after == replace(NIGHTLY, next_run_at=AFTER, last_run_at=NEXT, last_job=job)


def test_of_two_that_see_it_due_one_runs_it(store: Store, site: SqliteSite) -> None:
    store.put_schedule(NIGHTLY)
    assert store.run_schedule("nightly", NEXT, AFTER, NEXT) is not None
    assert site.open().run_schedule("nightly", NEXT, AFTER, NEXT) is None
    assert len(site.rows()) == 1


def test_of_many_parents_at_once_one_runs_it(store: Store, site: SqliteSite) -> None:
    store.put_schedule(NIGHTLY)
    parents = [site.open() for _ in range(6)]
    with ThreadPoolExecutor(len(parents)) as pool:
        made = list(pool.map(lambda parent: parent.run_schedule("nightly", NEXT, AFTER, NEXT), parents))
    assert len([job for job in made if job is not None]) == 1
    assert len(site.rows()) == 1


def test_a_turn_is_left_out_while_the_one_before_waits_or_runs(store: Store, site: SqliteSite) -> None:
    store.put_schedule(NIGHTLY)
    first = store.run_schedule("nightly", NEXT, AFTER, NEXT)
    later = AFTER + timedelta(days=1)
    assert store.run_schedule("nightly", AFTER, later, AFTER) is None
    [claim] = claimed(store)
    assert store.run_schedule("nightly", later, later + timedelta(days=1), later) is None
    [schedule] = store.schedules()
    assert (schedule.next_run_at, schedule.last_job, schedule.last_run_at) == (later + timedelta(days=1), first, NEXT)
    assert store.settle([ended(store, claim, Done())]) == [True]
    assert store.run_schedule("nightly", schedule.next_run_at, None, later) is not None
    assert len(site.rows()) == 2


def test_a_run_by_hand_changes_no_next_run_and_works_while_it_is_off(store: Store) -> None:
    store.put_schedule(NIGHTLY)
    store.put_schedule(replace(NIGHTLY, name="off", is_on=False, next_run_at=None))
    assert store.run_schedule("nightly", NEXT, NEXT, NOW) is not None
    assert store.run_schedule("off", None, None, NOW) is not None
    assert [one.next_run_at for one in store.schedules()] == [NEXT, None]


def test_a_change_keeps_what_ran_last(store: Store) -> None:
    store.put_schedule(NIGHTLY)
    job = store.run_schedule("nightly", NEXT, AFTER, NEXT)
    store.put_schedule(replace(NIGHTLY, expression="0 6 * * *", next_run_at=NOW))
    [found] = store.schedules()
    assert (found.expression, found.next_run_at, found.last_job, found.last_run_at) == ("0 6 * * *", NOW, job, NEXT)


def test_a_change_by_a_person_wins_over_a_parent_that_saw_the_one_before(store: Store, site: SqliteSite) -> None:
    store.put_schedule(NIGHTLY)
    store.put_schedule(replace(NIGHTLY, is_on=False, next_run_at=None))
    assert store.run_schedule("nightly", NEXT, AFTER, NEXT) is None
    assert not store.move_schedule("nightly", NEXT, AFTER)
    assert (store.schedules()[0].next_run_at, site.rows()) == (None, [])


def test_a_moved_run_makes_no_job(store: Store, site: SqliteSite) -> None:
    store.put_schedule(NIGHTLY)
    assert store.move_schedule("nightly", NEXT, NOW)
    assert (store.schedules()[0].next_run_at, site.rows()) == (NOW, [])


def test_a_removed_schedule_is_gone_and_its_job_goes_on(store: Store) -> None:
    store.put_schedule(NIGHTLY)
    store.run_schedule("nightly", NEXT, AFTER, NEXT)
    assert store.remove_schedule("nightly")
    assert not store.remove_schedule("nightly")
    assert store.run_schedule("nightly", AFTER, None, AFTER) is None
    assert (store.schedules(), len(claimed(store))) == ([], 1)


def test_live_pages_hear_of_each_change_to_schedules(site: SqliteSite) -> None:
    acts = (
        lambda store: store.put_schedule(NIGHTLY),
        lambda store: store.run_schedule("nightly", NEXT, AFTER, NEXT),
        lambda store: store.move_schedule("nightly", AFTER, NEXT),
        lambda store: store.remove_schedule("nightly"),
    )
    for act in acts:
        before = site.topics().count("queues")
        act(site.open())  # each from a process of its own: who writes a newer hint takes its own older one away
        assert site.topics().count("queues") > before


# Assignments


def test_an_assignment_is_as_it_was_written_last(store: Store, site: SqliteSite) -> None:
    assert store.assignment("mail") is None
    store.put_assignment(Assignment(name="mail", queues=("a", "b"), slots=3, host="h"), NOW)
    changed = Assignment(name="mail", slots=7)
    store.put_assignment(changed, NOW)
    assert site.open().assignment("mail") == changed


def test_what_a_parent_follows_is_kept_and_claims_heed_its_registration(store: Store, site: SqliteSite) -> None:
    assert store.follow(WORKER.id, ("tight", "once"), 9)
    assert site.parents() == [{"id": WORKER.id, "queues": ["tight", "once"], "slots": 9}]
    assert not store.follow("b" * 32, ("tight",), 1)


# What those who watch ask for


def test_depths_count_each_queue_by_state_and_age_its_first_due_row(store: Store) -> None:
    old = NOW - timedelta(seconds=40)
    store.enqueue([NewJob(kind="tight", payload={})] * 5, old)
    store.enqueue([NewJob(kind="once", payload={}, due_at=AFTER)], NOW)
    first, second, *_ = store.claim("tight", WORKER.id, 3, NOW)
    store.settle([ended(store, first, Failed("no", retryable=False)), ended(store, second, Done())])
    store.change_settings("once", {"paused": True})
    assert store.depths(["once", "tight", "none"], NOW) == [
        Depth("once", 1, 0, 0, None, paused=True),
        Depth("tight", 2, 1, 1, 40.0, paused=False),
        Depth("none", 0, 0, 0, None, paused=False),
    ]
