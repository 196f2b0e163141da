"""What is done with a schedule now: run, move, or nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from central_dispatch.jobs.cron import next_run
from central_dispatch.jobs.schedule import Schedule, Turn, turn

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NIGHTLY = Schedule(name="nightly", queue="q", expression="0 12 * * *", next_run_at=NOON)
OFTEN = replace(NIGHTLY, expression="*/5 * * * *")


def look(schedule: Schedule, now: datetime) -> Turn | None:
    return turn(schedule, next_run(schedule.expression, schedule.zone, now), now)


def test_nothing_is_done_before_its_time() -> None:
    assert look(NIGHTLY, NOON - timedelta(seconds=1)) is None


def test_it_runs_at_its_time_and_the_next_run_is_the_one_after() -> None:
    assert look(NIGHTLY, NOON) == Turn(runs=True, next_run_at=NOON + DAY)


@pytest.mark.parametrize("missed", [2, 40, 4000])
def test_however_many_turns_were_missed_one_is_made_up_for(missed: int) -> None:
    now = NOON + missed * DAY + HOUR
    assert look(NIGHTLY, now) == Turn(runs=True, next_run_at=NOON + (missed + 1) * DAY)


def test_one_that_is_off_does_nothing() -> None:
    assert look(replace(NIGHTLY, is_on=False), NOON + DAY) is None
    assert look(replace(NIGHTLY, next_run_at=None), NOON + DAY) is None


def ran(schedule: Schedule, at: datetime) -> Schedule:
    return replace(schedule, last_run_at=at, next_run_at=next_run(schedule.expression, schedule.zone, at))


def test_a_clock_set_back_a_little_runs_no_fixed_time_twice() -> None:
    assert look(ran(NIGHTLY, NOON), NOON - 2 * HOUR) is None


def test_a_clock_set_back_far_moves_a_fixed_time_with_it() -> None:
    set_back = NOON - 10 * DAY
    assert look(ran(NIGHTLY, NOON), set_back) == Turn(runs=False, next_run_at=set_back + DAY)


def test_a_star_follows_a_clock_that_was_set_back() -> None:
    set_back = NOON - HOUR
    assert look(ran(OFTEN, NOON), set_back) == Turn(runs=False, next_run_at=set_back + timedelta(minutes=5))


def test_another_hosts_clock_that_lags_a_little_runs_nothing_twice() -> None:
    assert look(ran(OFTEN, NOON), NOON - timedelta(seconds=3)) is None


def test_one_that_never_ran_follows_a_clock_that_was_set_back() -> None:
    assert look(NIGHTLY, NOON - 3 * DAY) == Turn(runs=False, next_run_at=NOON - 2 * DAY)


def test_a_schedule_names_all_that_is_wrong_with_it() -> None:
    bad = Schedule(name="a b", queue="q", expression="0 0 30 2 *", zone="Mars", priority=12)
    assert [name for name, _ in bad.problems(NOON)] == ["name", "zone", "expression", "priority"]
    assert NIGHTLY.problems(NOON) == []
