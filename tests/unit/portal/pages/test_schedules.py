"""The form of a schedule: what is hidden in its payload comes back as it was, or is written anew, or is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from central_dispatch.fleet.actor import Role
from central_dispatch.jobs.masking import MASK, shown_payload
from central_dispatch.portal.accounts.models import User
from central_dispatch.worker_manager.models import Schedule

ADDRESS = "/worker-manager/schedules/nightly/"
PAYLOAD: dict[str, Any] = {
    "from": "ftp://u:first-secret@host/a",
    "password": {"user": "u", "word": "second-secret"},
    "sources": ["https://a/?token=third-secret&x=1", {"key": "fourth-secret", "to": "b"}],
    "days": 3,
}


@pytest.fixture
def client(person: Callable[..., User], browser: Callable[..., Client]) -> Client:
    made = browser(person(Role.WORKER_MANAGER), csrf=False)
    assert save(made, PAYLOAD, "/worker-manager/schedules/new/") == 302
    assert stored() == PAYLOAD
    return made


def save(client: Client, payload: object, address: str = ADDRESS) -> int:
    values = {"name": "nightly", "queue": "housekeeping", "expression": "0 2 * * *", "zone": "UTC", "priority": "5"}
    return client.post(address, {**values, "payload": json.dumps(payload)}, secure=True).status_code


def stored() -> dict[str, Any]:
    found: dict[str, Any] = Schedule.objects.get(name="nightly").payload
    return found


def shown() -> dict[str, Any]:
    found = shown_payload("housekeeping", PAYLOAD)
    assert "secret" not in json.dumps(found)
    return found


def test_what_was_shown_hidden_and_is_left_as_it_was_stays_what_it_was(client: Client) -> None:
    assert "-secret" not in client.get(ADDRESS, secure=True).content.decode()
    assert save(client, {**shown(), "days": 4}) == 302
    assert stored() == {**PAYLOAD, "days": 4}


def test_a_secret_may_be_written_anew_or_removed(client: Client) -> None:
    changed = {**shown(), "from": "ftp://u:new@host/a"}
    del changed["password"]
    assert save(client, changed) == 302
    assert stored() == {
        name: value for name, value in {**PAYLOAD, "from": "ftp://u:new@host/a"}.items() if name != "password"
    }


@pytest.mark.parametrize(
    "change",
    [
        {"from": f"ftp://u:{MASK}@elsewhere/a"},
        {"elsewhere": MASK},
        {"days": f"x{MASK}"},
        {"sources": [f"https://a/?token={MASK}&x=1"]},
        {"sources": [{"key": MASK, "to": "b"}, f"https://a/?token={MASK}&x=1"]},
        {"password": {"word": MASK}},
    ],
    ids=str,
)
def test_a_mask_that_is_not_where_it_was_shown_is_refused_and_never_saved(
    client: Client, change: dict[str, object]
) -> None:
    assert save(client, {**shown(), **change}) == 422
    assert stored() == PAYLOAD
