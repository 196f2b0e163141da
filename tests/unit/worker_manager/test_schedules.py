"""Named schedules as people change them: what is not named stays, as it is at that moment."""

from typing import Any

import pytest

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.refusal import Refused
from central_dispatch.jobs.schedule import Schedule as Value
from central_dispatch.worker_manager import schedules
from central_dispatch.worker_manager.models import Schedule

pytestmark = pytest.mark.usefixtures("database")
BY = Actor("administrator", Role.ADMINISTRATOR)


def put(**changes: Any) -> Value:
    made = schedules.put(BY, "nightly", **changes)
    assert isinstance(made, Value)
    return made


def test_what_is_not_named_stays() -> None:
    put(queue="housekeeping", expression="0 3 * * *", zone="Asia/Tokyo", payload={"a": 1}, priority=8)
    for change in ({"expression": "0  4 * * *"}, {"zone": "UTC"}, {"payload": {}}, {"priority": 0}):
        before = put()
        after = put(**change)
        assert {
            name
            for name in ("queue", "expression", "zone", "payload", "priority")
            if getattr(after, name) != getattr(before, name)
        } == set(change)
    assert put().expression == "0 4 * * *"


def test_one_that_is_off_stays_off() -> None:
    put(queue="housekeeping", expression="0 3 * * *")
    schedules.switch(BY, "nightly", on=False)
    assert (put(priority=9).is_on, put(priority=9).next_run_at) == (False, None)


def test_a_payload_that_stays_keeps_its_version_and_a_new_one_or_another_queues_has_the_kinds() -> None:
    put(queue="housekeeping", expression="0 3 * * *", payload={"a": 1})
    Schedule.objects.update(payload_version=7)
    assert put(priority=3).payload_version == 7
    assert Schedule.objects.get().payload_version == 7
    assert put(payload={"a": 1}).payload_version == 1
    Schedule.objects.update(payload_version=7)
    assert put(queue="mainQueue").payload_version == 1


@pytest.mark.parametrize("given", [{}, {"queue": "housekeeping"}, {"expression": "0 3 * * *"}])
def test_a_new_one_needs_a_queue_and_an_expression(given: dict[str, str]) -> None:
    refused = schedules.put(BY, "nightly", **given)
    assert isinstance(refused, Refused)
    assert refused.kind == "absent"
    assert not Schedule.objects.exists()
