"""When a counter counts as standing still."""

from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.jobs.ports import Beat
from central_dispatch.worker.beats import Watch

LEASE_S, GAP_S = 30.0, 15.0


def _watch(reads: list[tuple[float, int]]) -> list[bool]:
    watch = Watch(LEASE_S, GAP_S)
    return [bool(watch.look([Beat("p", "host", count)], at)) for at, count in reads]


def test_a_counter_that_stands_still_for_the_lease_is_swept_and_not_earlier() -> None:
    assert _watch([(0, 7), (5, 7), (10, 7), (20, 7), (29.9, 7), (30, 7)]) == [False] * 5 + [True]


def test_one_beat_begins_the_lease_anew() -> None:
    assert _watch([(0, 7), (10, 7), (20, 8), (30, 8), (40, 8), (49, 8), (50, 8)]) == [False] * 6 + [True]


def test_a_sweeper_that_was_stopped_itself_begins_anew() -> None:
    """What it did not see all the time it does not know: the database may have been away for the other, too."""
    assert _watch([(0, 7), (100, 7), (110, 7), (120, 7), (129, 7), (130, 7)]) == [False] * 5 + [True]


def test_the_database_away_begins_anew() -> None:
    watch = Watch(LEASE_S, GAP_S)
    for at in range(0, 30, 5):
        watch.look([Beat("p", "host", 1)], at)
    watch.forget()
    assert watch.look([Beat("p", "host", 1)], 30) == []


def test_parents_are_told_apart() -> None:
    watch = Watch(LEASE_S, GAP_S)
    swept: list[Beat] = []
    for at in range(0, 31, 5):
        swept = watch.look([Beat("dead", "a", 1), Beat("alive", "b", at)], at)
    assert [beat.parent for beat in swept] == ["dead"]


@given(st.lists(st.tuples(st.floats(0.1, 20), st.booleans()), max_size=60))
def test_nobody_is_swept_that_beat_within_a_lease(steps: list[tuple[float, bool]]) -> None:
    watch, at, count, beaten_at = Watch(LEASE_S, GAP_S), 0.0, 0, 0.0
    for pause_s, beats in steps:
        at += pause_s
        if beats:
            count, beaten_at = count + 1, at
        if watch.look([Beat("p", "host", count)], at):
            assert at - beaten_at >= LEASE_S
