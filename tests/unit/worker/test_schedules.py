"""A parent's look at the schedules, on a real store."""

import sqlite3
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from central_dispatch.jobs.schedule import Schedule
from central_dispatch.worker.schedules import Schedules
from job_adapters import STORES, SqliteSite

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


class Bells:
    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, queues: Collection[str]) -> None:
        self.rung += queues


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SqliteSite]:
    made = STORES["sqlite"](tmp_path)
    made.open().put_schedule(Schedule(name="s", queue="tight", expression="0 12 * * *", next_run_at=NOON))
    yield made
    made.close()


def finish_all(site: SqliteSite) -> None:
    """End whatever waits, as a worker would."""
    with sqlite3.connect(site.path) as connection:
        connection.execute("UPDATE job SET state = 'finished', unique_key = NULL WHERE state = 'waiting'")


def looking(site: SqliteSite) -> tuple[Schedules, Bells]:
    bells = Bells()
    return Schedules(site.open(), bells), bells  # type: ignore[arg-type]  # what is called


def test_two_parents_that_look_every_second_run_each_turn_once_and_ring_for_it(site: SqliteSite) -> None:
    parents = [looking(site) for _ in range(2)]
    for day in range(3):
        for second in range(-2, 3):
            for parent, _ in parents:
                parent.look(NOON + day * DAY + timedelta(seconds=second))
        finish_all(site)
        assert len(site.rows()) == day + 1
    assert [bells.rung for _, bells in parents] == [["tight"] * 3, []]


def test_after_a_week_without_a_parent_there_is_one_run_and_then_the_usual_ones(site: SqliteSite) -> None:
    parent, _ = looking(site)
    for minute in range(3):
        parent.look(NOON + 7 * DAY + minute * MINUTE)
        finish_all(site)
    assert len(site.rows()) == 1
    parent.look(NOON + 8 * DAY)
    assert len(site.rows()) == 2


def test_a_change_counts_from_the_next_look_on(site: SqliteSite) -> None:
    parent, _ = looking(site)
    parent.look(NOON - MINUTE)
    store = site.open()
    store.put_schedule(Schedule(name="s", queue="tight", expression="* * * * *", next_run_at=NOON - MINUTE))
    parent.look(NOON - MINUTE)
    assert len(site.rows()) == 1
    assert store.schedules()[0].next_run_at == NOON


def test_one_that_cannot_be_read_is_said_once_and_stops_no_other(
    site: SqliteSite, caplog: pytest.LogCaptureFixture
) -> None:
    site.open().put_schedule(Schedule(name="bad", queue="tight", expression="0 12 * * *", zone="Gone/Zone"))
    parent, _ = looking(site)
    parent.look(NOON)
    parent.look(NOON + MINUTE)
    assert len(site.rows()) == 1
    said = [record.message for record in caplog.records if "cannot run" in record.message]
    assert len(said) == 1
    assert "schedule bad cannot run: there is no time zone “Gone/Zone”" in said[0]


def test_a_clock_set_back_a_day_moves_the_next_run_with_it(site: SqliteSite) -> None:
    parent, _ = looking(site)
    parent.look(NOON)
    parent.look(NOON - DAY)
    assert site.open().schedules()[0].next_run_at == NOON
    assert len(site.rows()) == 1
