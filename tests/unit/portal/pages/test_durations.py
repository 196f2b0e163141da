from datetime import UTC, datetime, timedelta

import pytest

from central_dispatch.portal.pages.durations import distance_words, duration_words, size_words

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 ms"),
        (0.04, "40 ms"),
        (1.44, "1.4 s"),
        (9.99, "10.0 s"),
        (12.7, "12 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(seconds: float, words: str) -> None:
    assert duration_words(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=2), "just now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=59), "59 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=30), "30 d ago"),
        (timedelta(days=60), "25 Sep 2026"),
        (timedelta(hours=-3), "in 3 h"),
    ],
)
def test_a_moment_is_said_by_its_distance_or_its_date(ago: timedelta, words: str) -> None:
    assert distance_words(NOW - ago, NOW) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (4_200_000, "4.2 MB"), (120_000_000_000, "120 GB"), (2 * 10**12, "2.0 TB")],
)
def test_a_size_has_three_digits_at_most(size: int, words: str) -> None:
    assert size_words(size) == words
