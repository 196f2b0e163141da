"""The contract of `jobs.ports.Store`, which every adapter passes: parents, leases and the clock."""

from dataclasses import replace
from datetime import timedelta

from central_dispatch.jobs.outcome import Done, Failed, Released
from central_dispatch.jobs.ports import Parent, Store
from job_adapters import SqliteSite
from store_calls import LATER, NOW, Q, ended, joined, put, settle, take


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


def test_containers_of_one_hostname_leave_each_others_parents_alone(store: Store, site: SqliteSite) -> None:
    """In each of them a parent is process 1; people see the hostname of both."""
    first = Parent("c" * 32, "host", 1, (Q,), 1, pid_space="host b1 pid:[1]")
    second = Parent("d" * 32, "host", 1, (Q,), 1, pid_space="host b1 pid:[2]")
    store.register(first, NOW)
    put(store)
    (claim,) = take(store, first)
    site.gone.add(1)
    assert store.register(second, NOW) == []
    assert {(beat.parent, beat.host, beat.pid_space) for beat in store.beats()} == {
        (one.id, "host", one.pid_space) for one in (first, second)
    }
    assert store.register(replace(first, id="e" * 32), NOW) == [claim.job]


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


def test_a_backup_that_is_restored_twice_gives_other_fences_each_time(store: Store, mine: Parent) -> None:
    """The epoch is the time's, not a count's: of two restores of one backup the second would repeat the first's."""
    put(store)
    fences = []
    for at in (NOW, LATER):
        store.raise_epoch(at)
        (claim,) = take(store, joined(store), at=at)
        fences.append(claim.fence >> 32)
    assert fences[1] - fences[0] == (LATER - NOW).total_seconds()
    assert mine.id not in [beat.parent for beat in store.beats()]


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


def test_a_clock_set_back_moves_nothing_that_is_due_and_what_becomes_due_comes_after_it(
    store: Store, site: SqliteSite, mine: Parent
) -> None:
    (old,) = put(store, at=NOW - timedelta(hours=6))
    put(store, at=NOW - timedelta(hours=2))  # by the step alone it would come before it
    put(store)
    take(store, mine, queue="another")
    back = NOW - timedelta(hours=5)
    take(store, mine, queue="another", at=back)
    assert site.row(old)["due_at"] == NOW - timedelta(hours=6)
    assert [claim.job for claim in take(store, mine, at=back, limit=1)] == [old]
    assert len(take(store, mine, at=back)) == 2


def test_a_clock_set_back_doubles_nothing(store: Store, site: SqliteSite, mine: Parent) -> None:
    put(store)
    (claim,) = take(store, mine)
    back = NOW - timedelta(days=400)
    assert take(store, joined(site.open()), at=back) == []
    assert settle(store, claim, Done(), back)
