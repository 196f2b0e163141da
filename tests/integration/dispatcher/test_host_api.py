"""A real server over TLS, called by a scripted host."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from central_dispatch.host.dispatcher_client import DispatcherClient, Gap, Refused, Superseded
from central_dispatch.provisioning.protocol import Claim, Heartbeat, Report, Reported, SessionStart
from dispatchers.fleet import FACTS, MACHINE, events, settings_view
from dispatchers.server import Browser, Dispatcher, Host

DEPLOYED = ("begin", ("intent", 0), ("done", 0), ("intent", 1), ("done", 1), "commit", ("tail_intent", 0))
DEPLOYED = (*DEPLOYED, ("tail_done", 0), ("end", -1, {"ending": "committed"}))


def wire(*kinds: Any, start: int = 1) -> list[dict[str, Any]]:
    return [event.model_dump(mode="json") for event in events(*kinds, start=start)]


def test_a_deployment_from_enrolment_to_active(administrator: Browser, host: Host, instance: str) -> None:
    asked = administrator.api("POST", f"instances/{instance}/deploy")
    assert asked.status == 202
    run = asked.body["id"]
    order = host.claim().body["orders"][0]
    assert (order["run"], order["kind"], order["spec"]["id"]) == (run, "deploy", instance)
    assert host.report(run, wire(*DEPLOYED[:4])).body == {"through": 4}
    assert administrator.api("GET", f"runs/{run}").body["state"] == "running"
    assert host.report(run, wire(*DEPLOYED)).body == {"through": 9}
    shown = administrator.api("GET", f"runs/{run}").body
    assert (shown["state"], [step["state"] for step in shown["steps"]]) == ("committed", ["done", "done", "done"])
    assert administrator.api("GET", f"instances/{instance}").body["state"] == "active"
    lines = administrator.api("GET", f"runs/{run}/events").body
    assert (lines["count"], lines["items"][-1]["data"]) == (9, {"ending": "committed"})


def test_a_waiting_host_is_woken_by_the_request(administrator: Browser, host: Host, instance: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(host.claim, 50)
        asked = administrator.api("POST", f"instances/{instance}/deploy")
        # Far below the poll's 50 s: the request woke it.
        reply = waiting.result(timeout=20)
    assert [order["run"] for order in reply.body["orders"]] == [asked.body["id"]]


def test_a_claim_with_nothing_to_do_is_answered_empty_after_its_time(host: Host) -> None:
    begun = time.monotonic()
    assert host.claim(wait_s=1).body == {"orders": [], "wishes": []}
    assert time.monotonic() - begun >= 1


def test_many_waiting_hosts_hold_no_thread(administrator: Browser, host: Host, instance: str) -> None:
    """Forty long polls wait, and pages are still answered: there are only eight threads of Django's and four more."""
    stop = threading.Event()
    with ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(host.claim, 50) for _ in range(40)]
        for _ in range(10):
            assert administrator.api("GET", "instances").status == 200
        asked = administrator.api("POST", f"instances/{instance}/deploy")
        assert asked.status == 202
        administrator.api("POST", f"runs/{asked.body['id']}/back-out")
        # A new session ends every poll of the one before.
        host.start()
        replies = [future.result(timeout=30) for future in waiting]
        stop.set()
    given = [order["run"] for reply in replies if reply.status == 200 for order in reply.body["orders"]]
    # The order went to at most one of them.
    assert given in ([], [asked.body["id"]])
    assert all(reply.status in {200, 409} for reply in replies)


def test_another_hosts_credential_is_refused_and_put_on_record(
    administrator: Browser, dispatcher: Dispatcher, host: Host, instance: str
) -> None:
    run = administrator.api("POST", f"instances/{instance}/deploy").body["id"]
    host.claim()
    made = administrator.api("POST", "workers", {"name": f"intruder-{run[-6:]}", "host_url": "x.example.com"})
    intruder = Host(dispatcher)
    intruder.enrol(made.body["token"])
    intruder.start()
    assert intruder.claim().body == {"orders": [], "wishes": []}
    reply = intruder.report(run, wire("begin"))
    assert reply.status == 403
    assert reply.headers["content-type"] == "application/problem+json"
    assert administrator.api("GET", f"runs/{run}").body["state"] == "claimed"
    page = administrator.ask("GET", "/audit/")
    assert page.status == 200
    assert "host.refused" in page.body or "another worker" in page.body


def test_without_a_credential_nothing_is_told(dispatcher: Dispatcher) -> None:
    for path in ("session", "heartbeat", "claim", f"runs/{'0' * 32}/events"):
        for bearer in ("", "wrong"):
            assert dispatcher.ask("POST", f"/host/v1/{path}", {"session": 1}, bearer=bearer).status == 401, path


def test_a_token_works_once_and_nonsense_is_refused(administrator: Browser, dispatcher: Dispatcher) -> None:
    made = administrator.api("POST", "workers", {"name": "once", "host_url": "x.example.com"})
    host = Host(dispatcher)
    host.enrol(made.body["token"])
    message = {"token": made.body["token"], "machine_id": "m", "sealing_key": "a2s=", "worker_version": "1"}
    assert dispatcher.ask("POST", "/host/v1/enroll", message).status == 400
    right = {**message, "sealing_key": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}
    assert dispatcher.ask("POST", "/host/v1/enroll", right).status == 410
    assert dispatcher.ask("POST", "/host/v1/enroll", {"token": 1}).status == 400
    assert dispatcher.ask("POST", "/host/v1/enroll", "not json").status == 400
    assert dispatcher.ask("GET", "/host/v1/enroll").status == 405


def test_a_newer_session_stops_the_older_one(administrator: Browser, host: Host) -> None:
    old = host.session
    host.start()
    new, host.session = host.session, old
    beat = {"facts": {}, "settings": {}}
    for reply in (host.call("heartbeat", **beat), host.claim(wait_s=20), host.report("0" * 32, [])):
        assert reply.status in {409, 404}
    assert host.claim().body["session"] == new
    assert administrator.api("GET", f"workers/{host.worker}").body["alert"]
    host.session = new
    assert host.call("heartbeat", **beat).body["alert"]


def test_a_host_worker_that_was_killed_while_it_waited_is_followed_without_an_alert(
    administrator: Browser, host: Host
) -> None:
    """Its call still waits when its successor starts. Only a host worker that calls again is a second one."""
    old, address = host.session, f"workers/{host.worker}"
    seen = administrator.api("GET", address).body["last_seen"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(host.claim, 50)
        until = time.monotonic() + 30
        while administrator.api("GET", address).body["last_seen"] == seen:  # noted as the call came in
            assert time.monotonic() < until
        host.start()
        assert waiting.result(timeout=20).body == {"orders": [], "wishes": []}
    assert not administrator.api("GET", address).body["alert"]
    host.session = old
    assert host.claim(wait_s=50).status == 409
    assert administrator.api("GET", address).body["alert"]


def test_a_gap_is_answered_with_where_to_go_on(administrator: Browser, host: Host, instance: str) -> None:
    run = administrator.api("POST", f"instances/{instance}/deploy").body["id"]
    host.claim()
    reply = host.report(run, wire(("intent", 0), start=3))
    assert (reply.status, reply.body["through"]) == (409, 0)


def test_of_two_deployments_at_once_there_is_one_run(administrator: Browser, instance: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: administrator.api("POST", f"instances/{instance}/deploy"), range(6)))
    won = [reply.body["id"] for reply in replies if reply.status == 202]
    told = {reply.body["run"] for reply in replies if reply.status == 409}
    assert len(won) == 1
    assert told == set(won)


def test_a_message_that_is_too_large_is_refused(host: Host) -> None:
    line = {"kind": "output", "at": "", "data": {"line": "x" * 20_000}}
    reply = host.report("0" * 32, [{**line, "sequence": number} for number in range(1, 300)])
    assert reply.status == 413
    assert host.claim(known=("0" * 32,) * 10_000).status == 413


def test_the_host_workers_own_client_speaks_with_it(
    administrator: Browser, dispatcher: Dispatcher, host: Host, instance: str
) -> None:
    """Both ends are real: what a host sends is what the dispatcher reads, and back."""
    url = f"https://localhost:{dispatcher.port}"
    client = DispatcherClient(url, dispatcher.pin, host.credential)
    view = settings_view()
    started = client.session(SessionStart(machine_id=MACHINE, last_session=host.session, facts=FACTS, settings=view))
    assert not started.alert
    run = administrator.api("POST", f"instances/{instance}/deploy").body["id"]
    claimed = client.claim(Claim(session=started.session, wait_s=20))
    assert [order.run for order in claimed.orders] == [run]
    beat = Heartbeat(session=started.session, facts=FACTS, settings=view, doing="deploy")
    assert client.heartbeat(beat).session == started.session
    told = client.report(run, Report(session=started.session, events=events(*DEPLOYED)))
    assert told == Reported(through=9)
    missing = Report(session=started.session, events=events("waiting", start=20))
    assert client.report(run, missing) == Gap(9)
    with pytest.raises(Superseded):
        client.heartbeat(Heartbeat(session=1, facts=FACTS, settings=view))
    with pytest.raises(Refused, match="another certificate"):
        DispatcherClient(url, "x" * 43, host.credential).heartbeat(beat)


def test_nothing_that_a_caller_sends_makes_the_server_fail(administrator: Browser) -> None:
    """Every endpoint of the API's own document, with values that its fields were not made for."""
    document = json.loads(administrator.ask("GET", "/api/v1/openapi.json").body)
    nasty = ["\x00", "../x", "a" * 5000, "\u202e", "'; DROP TABLE x; --", 7, None, [], {}, True, -1, 1e308, "٣"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            name = schema.get("$ref", "").rpartition("/")[2]
            fields = document["components"]["schemas"].get(name, {}).get("properties", {})
            for value in nasty:
                address = re.sub(r"\{\w+\}", quote(str(value), safe="") or "x", path)
                bodies = [dict.fromkeys(fields, value), value] if fields else [None]
                for body in bodies:
                    reply = administrator.ask(
                        method.upper(), address, json.dumps(body), {"X-CSRFToken": administrator.csrf()}
                    )
                    assert reply.status < 500, (method, path, value, reply)
