"""The client and the enrolment against a real HTTPS server with a pinned certificate."""

import base64
import socket
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.host import identity
from central_dispatch.host.dispatcher_client import Away, DispatcherClient, Gap, Refused, Superseded
from central_dispatch.host.enrol import enrol
from central_dispatch.host.identity import Identity
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import Claim, Claimed, Facts, Heartbeat, Report, Session, SettingsView
from central_dispatch.provisioning.trust import EnrolmentToken, fingerprint
from servers.host_world import hex_id
from servers.https_server import serving

BEAT = Heartbeat(session=3, facts=Facts(), settings=SettingsView())
REPORT = Report(session=3, events=())


def test_a_call_carries_the_credential_and_reads_the_answer(tmp_path: Path) -> None:
    calls: list[Any] = []

    def answer(path: str, body: dict[str, Any], credential: str) -> tuple[int, Any]:
        calls.append((path, body["session"], credential))
        return 200, {"session": 3, "alert": "look", "of_a_newer_dispatcher": True}

    with serving(tmp_path, answer) as (url, pin):
        assert DispatcherClient(url, pin, "secret").heartbeat(BEAT) == Session(session=3, alert="look")
    assert calls == [("/host/v1/heartbeat", 3, "Bearer secret")]


def test_another_certificate_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    calls: list[Any] = []

    def answer(*call: Any) -> tuple[int, Any]:
        calls.append(call)
        return 200, {}

    with serving(tmp_path, answer) as (url, _):
        for pin in ("A" * 43, "", "ü"):
            with pytest.raises(Refused, match="another certificate"):
                DispatcherClient(url, pin, "secret").heartbeat(BEAT)
    assert calls == []


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"title": "revoked"}, Refused),
        (403, {"title": "another host's"}, Refused),
        (404, {"title": "absent"}, Refused),
        (400, b"no json", Refused),
        (413, {"title": "large"}, Refused),
        (409, {"title": "newer", "session": 9, "alert": "two"}, Superseded),
        (429, {}, Away),
        (500, b"<html>", Away),
        (503, {}, Away),
        (200, b"no json", Away),
        (200, {"other": 1}, Away),
    ],
)
def test_each_bad_answer_has_its_kind_and_says_what_to_do(
    tmp_path: Path, status: int, body: Any, error: type[Exception]
) -> None:
    with serving(tmp_path, lambda *_: (status, body)) as (url, pin), pytest.raises(error) as caught:
        DispatcherClient(url, pin).heartbeat(BEAT)
    assert type(caught.value) is error
    assert str(caught.value)


def test_a_gap_in_the_events_is_an_answer(tmp_path: Path) -> None:
    with serving(tmp_path, lambda *_: (409, {"title": "gap", "through": 4})) as (url, pin):
        assert DispatcherClient(url, pin).report(hex_id(1), REPORT) == Gap(4)


def test_a_dispatcher_that_is_down_is_away() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Away, match="does not answer"):
            DispatcherClient(url, "pin").heartbeat(BEAT)


def test_a_long_poll_may_end_without_anything(tmp_path: Path) -> None:
    with serving(tmp_path, lambda *_: (200, {"orders": [], "wishes": []})) as (url, pin):
        assert DispatcherClient(url, pin).claim(Claim(session=3, wait_s=0)) == Claimed()


class Enrolling:
    """A dispatcher's answer to an enrolment."""

    def __init__(self) -> None:
        self.token = ""

    def __call__(self, _path: str, body: dict[str, Any], _credential: str) -> tuple[int, Any]:
        self.token = body["token"]
        shown = fingerprint(base64.b64decode(body["sealing_key"]))
        return 200, {"worker": hex_id(7), "name": "web1", "credential": "mine", "fingerprint": shown}


def test_enrolment_keeps_what_the_next_start_needs_for_root_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    dispatcher = Enrolling()
    with serving(tmp_path, dispatcher) as (url, pin):
        made = enrol(state, url, f"cd1.once.{pin}\n")
    assert isinstance(made, Identity)
    assert (made.worker, made.name, made.credential, made.pin) == (hex_id(7), "web1", "mine", pin)
    assert identity.load(state) == made
    assert dispatcher.token == EnrolmentToken("once", pin).to_text()
    key = identity.sealing_key(state)
    assert key is not None
    assert fingerprint(key.public_key().public_bytes_raw()) == made.fingerprint
    assert state.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}


def test_an_identity_is_replaced_only_on_demand_and_the_sealing_key_stays(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with serving(tmp_path, Enrolling()) as (url, pin):
        first = enrol(state, url, f"cd1.once.{pin}")
        identity.save_session(state, 12)
        refused = enrol(state, url, f"cd1.twice.{pin}")
        again = enrol(state, url, f"cd1.twice.{pin}", again=True)
    assert isinstance(refused, Problem)
    assert "--again" in refused.mend
    assert isinstance(first, Identity)
    assert isinstance(again, Identity)
    assert first.fingerprint == again.fingerprint
    assert identity.last_session(state) == 0


@pytest.mark.parametrize(
    ("url", "token", "field"),
    [
        ("http://dispatcher.test", "cd1.a.b", "url"),
        ("dispatcher.test", "cd1.a.b", "url"),
        ("https://", "cd1.a.b", "url"),
        ("https://dispatcher.test", "", "token"),
        ("https://dispatcher.test", "cd1.a", "token"),
        ("https://dispatcher.test", "cd2.a.b", "token"),
    ],
)
def test_what_is_no_address_or_no_token_is_refused_with_its_field(
    tmp_path: Path, url: str, token: str, field: str
) -> None:
    refused = enrol(tmp_path / "state", url, token)
    assert isinstance(refused, Problem)
    assert refused.field == field
    assert not (tmp_path / "state").exists()


def test_a_used_token_leaves_no_identity(tmp_path: Path) -> None:
    with serving(tmp_path, lambda *_: (410, {"title": "The enrolment token does not work"})) as (url, pin):
        refused = enrol(tmp_path / "state", url, f"cd1.used.{pin}")
    assert isinstance(refused, Problem)
    assert identity.load(tmp_path / "state") is None
