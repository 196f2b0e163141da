"""The contract of `jobs.ports.Store`, which every adapter passes: locks, and what a parent holds."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from central_dispatch.jobs.job import Claim
from central_dispatch.jobs.lock import Holder, Lock
from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.jobs.ports import Parent, Store
from job_adapters import SqliteSite
from store_calls import NOW, SECOND, Q, ended, joined, put, settle, take

R = "record:3:1742"
ALONE = [Lock(R)]
SHARED = [Lock(R, shared=True)]


def running(store: Store, parent: Parent, amount: int = 2, priority: int = 5) -> list[Claim]:
    put(store, amount, priority=priority)
    return take(store, parent, amount)


def lock(store: Store, claim: Claim, wishes: list[Lock], at: datetime = NOW) -> list[Holder]:
    return store.lock(claim.job, claim.fence, wishes, at)


def defer(store: Store, claim: Claim, at: datetime = NOW, thing: str = R) -> None:
    """What a handler does that was refused."""
    assert settle(store, claim, Deferred("locked", 3600, waits_on=thing), at)


def test_of_a_thing_that_is_locked_whoever_asks_is_told_who_has_it(store: Store, mine: Parent) -> None:
    first, second = running(store, mine)
    assert lock(store, first, ALONE) == []
    assert lock(store, second, ALONE) == [Holder(R, first.job, shared=False)]
    assert lock(store, second, SHARED) == [Holder(R, first.job, shared=False)]
    assert lock(store, second, [Lock("record:3:1743")]) == []


def test_names_are_told_apart_by_every_character(store: Store, mine: Parent) -> None:
    first, second = running(store, mine)
    for name in ("record:a", "record:A", "record:ä", "record:å", "record:a:"):
        assert lock(store, first, [Lock(name)]) == []
    assert lock(store, second, [Lock("RECORD:a"), Lock("record:á"), Lock("x" * 200)]) == []


def test_many_share_what_nobody_has_alone(store: Store, mine: Parent) -> None:
    first, second, third = running(store, mine, 3)
    assert lock(store, first, SHARED) == lock(store, second, SHARED) == []
    assert lock(store, third, ALONE) == [Holder(R, first.job, shared=True), Holder(R, second.job, shared=True)]


def test_all_are_taken_or_none(store: Store, mine: Parent) -> None:
    first, second, third = running(store, mine, 3)
    lock(store, first, [Lock("b")])
    assert lock(store, second, [Lock("a"), Lock("b"), Lock("c")]) == [Holder("b", first.job, shared=False)]
    assert lock(store, third, [Lock("a"), Lock("c")]) == []


def test_what_one_has_one_may_take_again_and_never_less_of_it(store: Store, mine: Parent) -> None:
    first, second = running(store, mine)
    assert lock(store, first, ALONE) == lock(store, first, ALONE) == lock(store, first, SHARED) == []
    assert lock(store, second, SHARED) == [Holder(R, first.job, shared=False)]


def test_who_shares_a_thing_with_nobody_may_take_it_whole(store: Store, mine: Parent) -> None:
    first, second = running(store, mine)
    assert lock(store, first, SHARED) == []
    assert lock(store, second, SHARED) == []
    assert lock(store, first, ALONE) == [Holder(R, second.job, shared=True)]
    settle(store, second, Done())
    assert lock(store, first, ALONE) == []
    (third,) = running(store, mine, 1)
    assert lock(store, third, SHARED) == [Holder(R, first.job, shared=False)]


@pytest.mark.parametrize(
    "outcome", [Done(), Failed("no"), Crashed("oom"), Deferred("later"), Stopped("eve"), Released()]
)
def test_a_lock_ends_with_its_execution_however_that_ends(store: Store, mine: Parent, outcome: Outcome) -> None:
    first, second = running(store, mine)
    lock(store, first, ALONE)
    settle(store, first, outcome)
    assert lock(store, second, ALONE) == []


def test_an_execution_that_is_over_locks_nothing(store: Store, mine: Parent) -> None:
    (first,) = running(store, mine, 1)
    settle(store, first, Released())
    with pytest.raises(LookupError):
        lock(store, first, ALONE)
    (again,) = take(store, mine)
    with pytest.raises(LookupError):
        lock(store, first, ALONE)
    (other,) = running(store, mine, 1)
    assert lock(store, other, ALONE) == []
    assert lock(store, again, ALONE) == [Holder(R, other.job, shared=False)]


def test_a_dead_workers_locks_end_when_its_rows_are_taken_back(store: Store, site: SqliteSite) -> None:
    swept, dead, fresh = joined(store), joined(store, pid=10), joined(site.open(), "other")
    for parent in (swept, dead):
        (claim,) = running(store, parent, 1)
        assert lock(store, claim, [Lock(parent.id)]) == []
    put(store, priority=0)
    (mine,) = take(store, fresh)
    assert len(lock(store, mine, [Lock(swept.id), Lock(dead.id)])) == 2
    store.sweep(swept.id, 0, NOW)
    assert lock(store, mine, [Lock(swept.id)]) == []
    site.gone.add(10)
    store.register(Parent("e" * 32, "host", 12, (Q,), 1), NOW)
    assert lock(store, mine, [Lock(dead.id)]) == []


def test_a_restored_database_holds_no_lock_and_who_waited_is_due(store: Store, mine: Parent) -> None:
    first, second = running(store, mine)
    lock(store, first, ALONE)
    lock(store, second, ALONE)
    defer(store, second)
    store.raise_epoch(NOW)
    again = {claim.job: claim for claim in take(store, joined(store))}
    assert set(again) == {first.job, second.job}
    assert lock(store, again[second.job], ALONE) == []


def test_who_waits_for_a_lock_is_due_at_once_when_it_ends_and_its_queue_is_to_be_rung(
    store: Store, mine: Parent
) -> None:
    first, second = running(store, mine)
    lock(store, first, ALONE)
    lock(store, second, ALONE)
    defer(store, second)
    assert store.woken([R], NOW) == []
    assert take(store, mine) == []
    settle(store, first, Done(), NOW + SECOND)
    assert store.woken([R, "other"], NOW + SECOND) == [Q]
    (again,) = take(store, mine, at=NOW + SECOND)
    assert (again.job, again.deferrals, again.attempts) == (second.job, 1, 0)
    assert store.woken([R], NOW + SECOND) == []
    assert lock(store, again, ALONE, NOW + SECOND) == []


def test_a_lock_that_ended_between_the_refusal_and_the_deferral_wakes_no_later(store: Store, mine: Parent) -> None:
    first, second = running(store, mine)
    lock(store, first, ALONE)
    lock(store, second, ALONE)
    settle(store, first, Done())
    defer(store, second)
    assert [claim.job for claim in take(store, mine)] == [second.job]


def test_a_job_that_only_names_what_it_waits_for_is_woken_too_and_never_spins(store: Store, mine: Parent) -> None:
    first, second = running(store, mine)
    defer(store, second)
    assert take(store, mine) == []
    lock(store, first, ALONE)
    settle(store, first, Done(), NOW + SECOND)
    (again,) = take(store, mine, at=NOW + SECOND)
    # It was refused once, long ago, and does not ask again: nothing that ended just now wakes it.
    defer(store, again, NOW + SECOND)
    assert take(store, mine, at=NOW + SECOND) == []


def test_a_refusal_in_an_earlier_execution_does_not_make_a_job_spin(store: Store, mine: Parent) -> None:
    first, second = running(store, mine)
    lock(store, first, ALONE)
    lock(store, second, ALONE)
    defer(store, second)
    settle(store, first, Done())
    (again,) = take(store, mine)
    defer(store, again)
    assert take(store, mine) == []


def test_a_swept_workers_locks_wake_who_waits(store: Store, site: SqliteSite, mine: Parent) -> None:
    dead = joined(store)
    (first,) = running(store, dead, 1)
    (second,) = running(store, mine, 1)
    lock(store, first, ALONE)
    lock(store, second, ALONE)
    defer(store, second)
    site.open().sweep(dead.id, 0, NOW + SECOND)
    assert second.job in {claim.job for claim in take(store, mine, at=NOW + SECOND)}


def test_a_stream_of_sharers_does_not_starve_who_wants_it_alone(store: Store, mine: Parent) -> None:
    sharer, alone = running(store, mine)
    lock(store, sharer, SHARED)
    lock(store, alone, ALONE)
    defer(store, alone)
    (late,) = running(store, mine, 1)
    assert lock(store, late, SHARED, NOW + SECOND) == [Holder(R, alone.job, shared=False, waits=True)]
    defer(store, late, NOW + SECOND)
    settle(store, sharer, Done(), NOW + 2 * SECOND)
    (again,) = take(store, mine, at=NOW + 2 * SECOND)
    assert again.job == alone.job
    (later,) = running(store, mine, 1)
    assert lock(store, later, SHARED, NOW + 2 * SECOND) != []  # it runs, and asks in a moment
    assert lock(store, again, ALONE, NOW + 2 * SECOND) == []
    settle(store, again, Done(), NOW + 3 * SECOND)
    assert [claim.job for claim in take(store, mine, at=NOW + 3 * SECOND)] == [late.job]


def test_a_stream_of_those_who_want_it_alone_passes_it_on_in_their_order(store: Store, mine: Parent) -> None:
    holder, *others = running(store, mine, 4)
    lock(store, holder, ALONE)
    for number, other in enumerate(others):
        lock(store, other, ALONE, NOW + number * SECOND)
        defer(store, other, NOW + number * SECOND)
    at, order = NOW + 10 * SECOND, []
    while holder.job != others[-1].job:
        settle(store, holder, Done(), at)
        # One comes, not all of them: nobody is deferred again and again by the crowd.
        (holder,) = take(store, mine, at=at)
        order.append(holder.job)
        assert lock(store, holder, ALONE, at) == []
    assert order == [other.job for other in others]


def test_all_sharers_in_line_come_together(store: Store, mine: Parent) -> None:
    holder, *others = running(store, mine, 4)
    lock(store, holder, ALONE)
    for other in others:
        lock(store, other, SHARED)
        defer(store, other)
    settle(store, holder, Done())
    again = take(store, mine)
    assert {claim.job for claim in again} == {other.job for other in others}
    assert [lock(store, claim, SHARED) for claim in again] == [[], [], []]


def test_the_higher_priority_is_first_in_line(store: Store, mine: Parent) -> None:
    holder, low = running(store, mine, 2, priority=1)
    (high,) = running(store, mine, 1, priority=9)
    lock(store, holder, ALONE)
    for number, other in enumerate((low, high)):
        lock(store, other, ALONE, NOW + number * SECOND)
        defer(store, other, NOW + number * SECOND)
    settle(store, holder, Done(), NOW + 5 * SECOND)
    assert [claim.job for claim in take(store, mine, at=NOW + 5 * SECOND)] == [high.job]


def test_who_does_not_come_is_passed_by(store: Store, site: SqliteSite, mine: Parent) -> None:
    holder, alone, late = running(store, mine, 3)
    lock(store, holder, SHARED)
    lock(store, alone, ALONE)
    defer(store, alone)
    settle(store, holder, Done())  # from now on it could come, but its queue is paused, say
    assert lock(store, late, SHARED, NOW + SECOND) != []
    assert lock(store, late, SHARED, NOW + timedelta(seconds=31)) == []
    # And who is interrupted while he waits, is passed by at once.
    (third, fourth) = running(store, mine)
    lock(store, third, ALONE)
    defer(store, third)
    site.interrupt(third.job, "eve")
    assert lock(store, fourth, SHARED) == []


def test_two_that_both_want_more_than_they_share_end_one_after_the_other(store: Store, mine: Parent) -> None:
    first, second = running(store, mine)
    for claim in (first, second):
        assert lock(store, claim, SHARED) == []
    for claim in (first, second):
        assert len(lock(store, claim, ALONE)) == 1
    for claim in (first, second):
        defer(store, claim)
    (again,) = take(store, mine)
    assert lock(store, again, ALONE) == []
    settle(store, again, Done())
    (last,) = take(store, mine)
    assert lock(store, last, ALONE) == []


def test_of_many_at_once_one_has_it_and_at_the_end_each_had_it(store: Store, site: SqliteSite) -> None:
    """Eight workers and sixty jobs; each waits for the same thing, and looks whether it is alone with it."""
    jobs = put(store, 60)
    inside: list[int] = []
    most: list[int] = []
    done: list[int] = []
    guard = threading.Lock()

    def work(number: int) -> None:
        own = site.open()
        parent = joined(own, pid=3_000_000 + number)
        while len(done) < len(jobs):
            for claim in take(own, parent, limit=1, at=datetime.now(NOW.tzinfo)):
                at = datetime.now(NOW.tzinfo)
                if lock(own, claim, ALONE, at):
                    own.settle([ended(own, claim, Deferred("locked", 0.05, waits_on=R), at)])
                    continue
                with guard:
                    inside.append(claim.job)
                    most.append(len(inside))
                with guard:
                    inside.remove(claim.job)
                    done.append(claim.job)
                assert settle(own, claim, Done(), datetime.now(NOW.tzinfo))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sorted(done) == jobs
    assert max(most) == 1


# What a parent holds


def test_what_a_parent_holds_is_what_it_claimed_and_did_not_settle(store: Store, site: SqliteSite) -> None:
    mine, other = joined(store), joined(store)
    put(store, 4, payload_version=2)
    first, second, third = take(store, mine, 3)
    take(store, other, 1)
    settle(store, second, Failed("no"))
    assert site.open().held(mine.id) == [first, third]
    store.sweep(mine.id, 0, NOW)
    assert store.held(mine.id) == []
    assert store.held("f" * 32) == []
