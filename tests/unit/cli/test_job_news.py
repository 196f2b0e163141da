"""What is new of a job from one look to the next."""

from dataclasses import replace
from datetime import UTC, datetime

from central_dispatch.cli.job_news import Look, News, Tail

LOOK = Look(
    state="running", waiting_for="new", due_at=datetime(2026, 3, 1, 12, tzinfo=UTC), attempts=0, deferrals=0, fence=7,
    percent=None, words="", error="",
)  # fmt: skip


def told(tail: Tail, look: Look) -> list[tuple[str, str]]:
    return [(news.event, news.text or news.sentence) for news in tail.news(look)]


def output(news: list[tuple[str, str]]) -> str:
    return "".join(text for event, text in news if event == "output")


def test_each_piece_of_output_is_told_once_and_before_the_state_that_follows() -> None:
    tail = Tail()
    assert told(tail, replace(LOOK, output=b"one\n")) == [("state", "It runs, attempt 1."), ("output", "one\n")]
    assert told(tail, replace(LOOK, output=b"one\n")) == []
    over = replace(LOOK, output=b"one\ntwo\n", state="finished", attempts=1)
    assert told(tail, over) == [("output", "two\n"), ("state", "Finished.")]


def test_a_letter_that_came_in_halves_is_told_whole() -> None:
    tail = Tail()
    whole = "ä".encode()
    assert output(told(tail, replace(LOOK, output=whole[:1]))) == ""
    assert output(told(tail, replace(LOOK, output=whole))) == "ä"


def test_output_of_which_the_middle_was_left_out_goes_on_where_it_was() -> None:
    tail = Tail()
    told(tail, replace(LOOK, output=b"begin\n" + b"a" * 300 + b"seen last\n"))
    cut = b"begin\n\n[... 300 bytes are left out ...]\n" + b"a" * 300 + b"seen last\nnew\n"
    assert output(told(tail, replace(LOOK, output=cut))) == "new\n"
    far = b"begin\n\n[... 9000 bytes are left out ...]\n" + b"b" * 90 + b"\n"
    assert "[...]" in output(told(tail, replace(LOOK, output=far)))


def test_a_retry_is_told_with_its_error_and_time_and_the_next_execution_prints_anew() -> None:
    tail = Tail()
    told(tail, replace(LOOK, output=b"first\n"))
    waits = replace(LOOK, state="waiting", waiting_for="retry", attempts=1, error="no luck", output=b"first\nend\n")
    assert told(tail, waits) == [
        ("output", "end\n"),
        ("state", "It waits for its next attempt, due 2026-03-01 12:00:00 UTC: no luck."),
    ]
    again = replace(LOOK, fence=8, attempts=1, output=b"first\n")
    assert told(tail, again) == [("state", "It runs, attempt 2."), ("output", "first\n")]


def test_every_deferral_is_told_and_progress_only_where_it_moved() -> None:
    tail = Tail()
    waits = replace(LOOK, state="waiting", waiting_for="deferred", deferrals=1, error="locked by job 3")
    assert "was deferred" in told(tail, waits)[0][1]
    assert told(tail, waits) == []
    assert len(told(tail, replace(waits, deferrals=2))) == 1
    runs = replace(LOOK, percent=40.0, words="four of ten")
    assert ("progress", " 40 % four of ten") in told(tail, runs)
    assert told(tail, runs) == []


def test_the_values_for_programs_say_the_same() -> None:
    [news] = Tail().news(replace(LOOK, state="in_error", attempts=3, error="gone"))
    assert news == News(
        "state", {"state": "in_error", "attempts": 3, "execution": 7, "error": "gone"}, "In error: gone."
    )
