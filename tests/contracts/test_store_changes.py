"""What people change on servers is read and written under one lock: of two at once neither loses what he did."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from central_dispatch.jobs.assignment import Assignment
from central_dispatch.jobs.schedule import Schedule
from central_dispatch.stores.server import ServerStore, assignments, schedules
from central_dispatch.stores.server.queues import Queues
from central_dispatch.stores.server.session import Session
from job_adapters import STORES, ServerSite
from queue_workers.handlers import KINDS
from store_calls import NOW, Q

PEOPLE, TURNS = 4, 15
QUEUES = Queues(KINDS)


@pytest.fixture(params=["postgresql", "mariadb"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerSite]:
    made: ServerSite = STORES[request.param](tmp_path)
    yield made
    made.close()


def more_slots(session: Session) -> None:
    old = assignments.find_to_change(session, "night")
    assert old is not None
    assignments.put(session, replace(old, slots=old.slots + 1), NOW)


def further_day(session: Session) -> None:
    old = schedules.find_to_change(session, "nightly")
    assert old is not None
    schedules.put(session, replace(old, payload={"days": old.payload["days"] + 1}))


def more_attempts(session: Session) -> None:
    old = QUEUES.settings_to_change(session, Q)
    QUEUES.change(session, Q, {"max_attempts": old.max_attempts + 1})


@pytest.mark.parametrize("change", [more_slots, further_day, more_attempts])
def test_of_many_changes_at_once_each_builds_on_the_one_before(
    site: ServerSite, change: Callable[[Session], None]
) -> None:
    store = cast("ServerStore", site.open())
    store.put_assignment(Assignment(name="night", slots=1), NOW)
    store.put_schedule(Schedule(name="nightly", queue=Q, expression="0 3 * * *", payload={"days": 1}))
    store.change_settings(Q, {"max_attempts": 1})

    def work(_: int) -> None:
        own = cast("ServerStore", site.open())
        for _turn in range(TURNS):
            own._connections.write(change)

    with ThreadPoolExecutor(PEOPLE) as pool:
        list(pool.map(work, range(PEOPLE)))
    found = {
        more_slots: lambda: getattr(store.assignment("night"), "slots", None),
        further_day: lambda: store.schedules()[0].payload["days"],
        more_attempts: lambda: store.settings(Q).max_attempts,
    }
    assert found[change]() == 1 + PEOPLE * TURNS
