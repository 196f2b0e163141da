"""Who is in the way of a lock, and who comes next: the decisions, without a store."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.jobs.lock import MAX_LOCKS, PATIENCE, Holder, Lock, Place, in_the_way, next_in_line, why, wishes

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def place(job: int, *, shared: bool = False, priority: int = 5, since: datetime = NOW, waits: bool = True) -> Place:
    return Place("r", job, shared, priority, since, since, waits)


def holder(job: int, *, shared: bool = False) -> Holder:
    return Holder("r", job, shared)


def test_a_thing_asked_for_both_ways_is_wanted_alone() -> None:
    assert wishes(["b"], ["a", "b", "a"]) == [Lock("a", shared=True), Lock("b")]


def test_more_locks_than_can_be_meant_are_refused() -> None:
    with pytest.raises(ValueError, match=f"{MAX_LOCKS} are the most"):
        wishes(map(str, range(MAX_LOCKS + 1)), [])


@pytest.mark.parametrize("name", ["", "a b", "a ", "x" * 201, "a\nb", "a\0"])
def test_a_name_that_some_database_would_take_for_another_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a lock's name has"):
        Lock(name)


def test_sharers_do_not_meet_and_whoever_wants_it_alone_meets_all() -> None:
    sharers = [holder(1, shared=True), holder(2, shared=True)]
    assert in_the_way(Lock("r", shared=True), place(3, shared=True), sharers, [], NOW) == []
    assert in_the_way(Lock("r"), place(3), sharers, [], NOW) == sharers
    assert in_the_way(Lock("r", shared=True), place(3, shared=True), [holder(1)], [], NOW) == [holder(1)]


def test_who_shares_it_alone_may_take_it_whole_even_before_those_in_line() -> None:
    assert in_the_way(Lock("r"), place(1), [holder(1, shared=True)], [place(9, since=NOW - SECOND)], NOW) == []


def test_a_newcomer_stands_behind_who_wants_it_alone() -> None:
    line = [place(7, since=NOW - SECOND)]
    found = in_the_way(Lock("r", shared=True), place(8, shared=True), [holder(1, shared=True)], line, NOW)
    assert found == [Holder("r", 7, shared=False, waits=True)]
    assert "before it in line" in why(found)


def test_a_higher_priority_goes_before() -> None:
    line = [place(7, since=NOW - SECOND, priority=4)]
    assert in_the_way(Lock("r"), place(8), [], line, NOW) == []


def test_a_place_in_line_holds_as_long_as_its_job_could_be_expected() -> None:
    line = [place(7, since=NOW - PATIENCE)]
    assert in_the_way(Lock("r"), place(8), [], line, NOW - SECOND) != []
    assert in_the_way(Lock("r"), place(8), [], line, NOW) == []


def test_next_is_one_who_wants_it_alone_or_all_sharers_before_him() -> None:
    sharers = [place(1, shared=True), place(2, shared=True)]
    alone = place(3, since=NOW + SECOND)
    late = place(4, shared=True, since=NOW + 2 * SECOND)
    assert next_in_line([], [late, alone, *sharers]) == [1, 2]
    assert next_in_line([], [late, alone]) == [3]
    assert next_in_line([holder(9, shared=True)], [late, alone]) == []
    assert next_in_line([holder(9, shared=True)], sharers) == [1, 2]
    assert next_in_line([holder(9)], sharers) == []


modes = st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 5)), max_size=6)


@given(modes, st.lists(st.booleans(), max_size=3))
def test_who_comes_next_is_refused_by_nobody(line: list[tuple[bool, int, int]], held: list[bool]) -> None:
    places = [
        place(n, shared=shared, priority=priority, since=NOW + since * SECOND)
        for n, (shared, priority, since) in enumerate(line)
    ]
    holders = [holder(100 + n, shared=shared) for n, shared in enumerate(held)]
    chosen = next_in_line(holders, places)
    for one in (one for one in places if one.job in chosen):
        assert in_the_way(Lock("r", one.shared), one, holders, places, NOW) == []
        holders.append(holder(one.job, shared=one.shared))
    if not holders and places:
        raise AssertionError("a free thing was given to nobody")
