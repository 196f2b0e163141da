"""Whether a worker is well, and why not."""

from dataclasses import dataclass

import pytest

from central_dispatch.worker.health import health
from central_dispatch.worker.vitals import Parts, Vitals

NOW = 1000.0


@dataclass
class Seen:
    """What is looked at of the loop, the children and the clerk."""

    turned: float = NOW - 0.4
    slots: int = 4
    busy: int = 1
    down: str = ""
    queues: tuple[str, ...] = ("q",)

    @property
    def pids(self) -> list[int]:
        return []


def vitals(seen: Seen, beaten: float = NOW - 3) -> Vitals:
    return Vitals(parts=Parts(seen, seen, seen), beaten=beaten)


def test_a_worker_that_turns_beats_and_hears_bells_is_well() -> None:
    found = health(vitals(Seen()), "", NOW)
    assert (found.status, found.code, found.reasons) == ("ok", 200, ())


@pytest.mark.parametrize(
    ("seen", "beaten", "words"),
    [
        (Seen(turned=NOW - 60), NOW, "the main loop has not turned for 60 s"),
        (Seen(down="no route to it"), NOW, "the database is away: no route to it"),
        (Seen(), NOW - 40, "no beat went through for 40 s"),
    ],
)
def test_what_stops_the_work_is_failing_with_its_reason(seen: Seen, beaten: float, words: str) -> None:
    found = health(vitals(seen, beaten), "", NOW)
    assert (found.status, found.code) == ("failing", 503)
    assert words in found.reasons[0]


def test_without_the_broker_work_goes_on_degraded() -> None:
    found = health(vitals(Seen()), "connection refused", NOW)
    assert (found.status, found.code) == ("degraded", 503)
    assert "connection refused" in found.reasons[0]


def test_all_reasons_are_said_the_worst_first() -> None:
    found = health(vitals(Seen(turned=NOW - 60, down="x")), "refused", NOW)
    assert found.status == "failing"
    assert [reason.split(" ")[1] for reason in found.reasons] == ["main", "database", "broker"]


def test_before_it_works_and_while_it_ends_it_is_not_well() -> None:
    waiting = Vitals(waits_for="the database is away: x")
    assert health(waiting, "", NOW).to_json() == {"status": "starting", "reasons": ["the database is away: x"]}
    ending = vitals(Seen())
    ending.draining = lambda: True
    assert (health(ending, "", NOW).status, health(ending, "", NOW).code) == ("draining", 503)
