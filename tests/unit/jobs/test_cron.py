"""When a cron expression comes true, summer time both ways included."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central_dispatch.jobs.cron import BadSchedule, follows_real_time, next_run

BERLIN = "Europe/Berlin"  # 2026: 29 March 02:00 → 03:00, 25 October 03:00 → 02:00
MINUTE = timedelta(minutes=1)


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]  # year, month, day, hour, minute


def runs(expression: str, zone: str, after: datetime, count: int) -> list[str]:
    """The next runs as the clock on the wall shows them."""
    found, at = [], after
    for _ in range(count):
        at = next_run(expression, zone, at)
        found.append(at.astimezone(ZoneInfo(zone)).strftime("%d.%m. %H:%M %Z"))
    return found


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 3 * * *", utc(2026, 3, 1, 2, 59), utc(2026, 3, 1, 3)),
        ("0 3 * * *", utc(2026, 3, 1, 3), utc(2026, 3, 2, 3)),
        ("*/15 * * * *", utc(2026, 3, 1, 3, 1), utc(2026, 3, 1, 3, 15)),
        ("0 9 * * MON-FRI", utc(2026, 3, 6, 10), utc(2026, 3, 9, 9)),
        ("30 4 L * *", utc(2026, 2, 1), utc(2026, 2, 28, 4, 30)),
        ("0 0 29 2 *", utc(2026, 3, 1), utc(2028, 2, 29)),
        # Both days named: either counts, as everywhere with cron.
        ("0 0 13 * FRI", utc(2026, 3, 1), utc(2026, 3, 6)),
    ],
)
def test_the_next_run_comes_after_the_given_time(expression: str, after: datetime, expected: datetime) -> None:
    assert next_run(expression, "UTC", after) == expected


def test_the_time_is_the_zones_and_the_answer_utc() -> None:
    assert next_run("0 3 * * *", BERLIN, utc(2026, 1, 1)) == utc(2026, 1, 1, 2)
    assert next_run("0 3 * * *", BERLIN, utc(2026, 7, 1)).tzinfo is UTC
    assert next_run("0 3 * * *", BERLIN, utc(2026, 7, 1)) == utc(2026, 7, 1, 1)


def test_a_fixed_time_that_the_day_lacks_runs_once_right_after_the_gap() -> None:
    before = utc(2026, 3, 28, 12)
    assert runs("30 2 * * *", BERLIN, before, 2) == ["29.03. 03:00 CEST", "30.03. 02:30 CEST"]
    assert runs("0,30 2 * * *", BERLIN, before, 2) == ["29.03. 03:00 CEST", "30.03. 02:00 CEST"]


def test_a_fixed_time_that_comes_twice_runs_once_in_the_first_hour() -> None:
    before = utc(2026, 10, 24, 12)
    assert runs("30 2 * * *", BERLIN, before, 2) == ["25.10. 02:30 CEST", "26.10. 02:30 CET"]


def test_asked_within_the_second_of_the_two_hours_a_fixed_time_is_tomorrows() -> None:
    assert next_run("30 2 * * *", BERLIN, utc(2026, 10, 25, 1, 10)) == utc(2026, 10, 26, 1, 30)


def test_a_star_follows_the_real_time_through_both_changes() -> None:
    hours = runs("0 * * * *", BERLIN, utc(2026, 10, 24, 23, 30), 4)
    assert hours == ["25.10. 02:00 CEST", "25.10. 02:00 CET", "25.10. 03:00 CET", "25.10. 04:00 CET"]
    assert runs("0 * * * *", BERLIN, utc(2026, 3, 28, 23, 30), 3) == [
        "29.03. 01:00 CET",
        "29.03. 03:00 CEST",
        "29.03. 04:00 CEST",
    ]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("61 * * * *", "minute “61”: use 0 to 59"),
        ("* 24 * * *", "hour “24”: use 0 to 23"),
        ("0 0 32 * *", "day-of-month “32”"),
        ("0 0 30 2 *", "day-of-month “30”"),
        ("0 0 1 13 *", "month “13”: use 1 to 12"),
        ("0 0 * * MOO", "day-of-week “MOO”"),
        ("*/0 * * * *", "minute “*/0”"),
        ("* * * *", "has 4 fields"),
        ("0 * * * * *", "has 6 fields"),
        ("", "has 0 fields"),
        ("@reboot", "has 1 fields"),
    ],
)
def test_a_bad_expression_says_which_of_its_fields_is_wrong_and_what_is_allowed(expression: str, words: str) -> None:
    with pytest.raises(BadSchedule) as refused:
        next_run(expression, "UTC", utc(2026, 1, 1))
    assert refused.value.field == "expression"
    assert words in str(refused.value)


def test_an_expression_that_never_comes_true_is_refused_and_not_searched_for_ever() -> None:
    # The last working day of a month, if it is a Sunday.
    with pytest.raises(BadSchedule, match="never comes true"):
        next_run("0 0 LW * */7", "UTC", utc(2026, 1, 1))


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../../etc/passwd", "Europe", "/etc/localtime", "UTC\0"])
def test_a_bad_zone_is_named_whatever_it_is(zone: str) -> None:
    with pytest.raises(BadSchedule) as refused:
        next_run("0 3 * * *", zone, utc(2026, 1, 1))
    assert refused.value.field == "zone"


@pytest.mark.parametrize(
    ("expression", "follows"),
    [("* * * * *", True), ("*/5 3 * * *", True), ("0 * * * *", True), ("0 */2 * * *", True), ("0 3 * * *", False)],
)
def test_a_star_in_hour_or_minute_follows_the_real_time(expression: str, *, follows: bool) -> None:
    assert follows_real_time(expression) is follows


_parts = st.tuples(
    st.sampled_from(["*", "0", "30", "*/20", "10-20", "5,45"]),
    st.sampled_from(["*", "0", "1", "2", "2,3", "*/6", "23"]),
    st.sampled_from(["*", "1", "29", "25", "L"]),
    st.sampled_from(["*", "3", "10", "3,4,9,10"]),
    st.sampled_from(["*", "SUN", "1-5"]),
)
# Zones with a change at midnight, at two, of half an hour, south of the equator, and none.
_zones = st.sampled_from([BERLIN, "America/Santiago", "Asia/Beirut", "Australia/Lord_Howe", "America/New_York", "UTC"])


_starts = st.integers(0, 3 * 366 * 24 * 60).map(lambda minutes: utc(2025, 1, 1) + minutes * MINUTE)


@settings(deadline=None, max_examples=300)
@given(parts=_parts, zone=_zones, start=_starts)
def test_runs_always_come_later_and_hold_in_the_zone_or_right_after_its_gap(
    parts: tuple[str, ...], zone: str, start: datetime
) -> None:
    at = start
    for _ in range(5):
        found = next_run(" ".join(parts), zone, at)
        assert found > at
        wall = found.astimezone(ZoneInfo(zone))
        before = (found - MINUTE).astimezone(ZoneInfo(zone))
        after_gap = wall.utcoffset() != before.utcoffset()
        assert after_gap or (_holds(parts[0], wall.minute, 59) and _holds(parts[1], wall.hour, 23)), (parts, zone, wall)
        at = found


def _holds(part: str, value: int, most: int) -> bool:
    if part.startswith("*"):
        _, _, step = part.partition("/")
        return value % int(step or 1) == 0
    if "-" in part:
        low, high = map(int, part.split("-"))
        return low <= value <= high <= most
    return value in map(int, part.split(","))
