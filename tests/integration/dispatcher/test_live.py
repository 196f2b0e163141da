"""The live stream, the login's throttle and the end of a process, on a real server."""

import http.client
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dispatchers.fleet import events
from dispatchers.server import Browser, Dispatcher, Host, running


def opened(
    browser: Browser, query: str, **headers: str
) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
    connection = browser.dispatcher.connect(timeout_s=40)
    connection.request("GET", f"/live?{query}", headers={"Cookie": browser.cookie(), **headers})
    return connection, connection.getresponse()


def next_event(answer: http.client.HTTPResponse) -> dict[str, str]:
    """Read the stream up to the next event; comments are passed over."""
    found: dict[str, str] = {}
    while line := answer.readline().decode().rstrip("\n"):
        name, _, value = line.partition(": ")
        found[name] = value
        if name == "data":
            answer.readline()
            return found
        if name in {"retry", ""}:
            found.clear()
            answer.readline()
    raise AssertionError("the stream ended")


def test_a_page_is_told_of_a_change_and_can_go_on_where_it_was(
    administrator: Browser, host: Host, instance: str
) -> None:
    connection, answer = opened(administrator, f"topic=instance:{instance}&topic=workers")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.readline() == b"retry: 2000\n"
    answer.readline()
    run = administrator.api("POST", f"instances/{instance}/deploy").body["id"]
    event = next_event(answer)
    assert (event["event"], event["data"]) == ("change", f"instance:{instance}")
    connection.close()
    administrator.api("POST", f"runs/{run}/back-out")
    connection, answer = opened(administrator, f"topic=run:{run}", **{"Last-Event-ID": event["id"]})
    missed = next_event(answer)
    assert missed["data"] == f"run:{run}"
    assert int(missed["id"]) > int(event["id"])
    connection.close()
    assert host.worker


def test_a_change_by_another_process_is_seen(administrator: Browser, dispatcher: Dispatcher, instance: str) -> None:
    _, answer = opened(administrator, f"topic=instance:{instance}")
    answer.readline()
    answer.readline()
    database = sqlite3.connect(dispatcher.home / "dispatcher" / "dispatch.sqlite3", timeout=20)
    with database:
        database.execute("INSERT INTO fleet_change (topic, at) VALUES (?, datetime('now'))", [f"instance:{instance}"])
    database.close()
    assert next_event(answer)["data"] == f"instance:{instance}"


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("topic=nonsense", 400), ("topic=orders:" + "0" * 32, 400), ("topic=audit", 200)]
)
def test_only_topics_that_exist_can_be_followed(administrator: Browser, query: str, status: int) -> None:
    connection, answer = opened(administrator, query)
    assert answer.status == status
    connection.close()


def test_nobody_is_told_anything_without_a_login(dispatcher: Dispatcher) -> None:
    for cookies in ({}, {"__Host-central-dispatch": "x" * 32}):
        connection, answer = opened(Browser(dispatcher, cookies), "topic=instances")
        assert answer.status == 403
        connection.close()


def test_cookies_and_headers_are_the_strict_ones(dispatcher: Dispatcher) -> None:
    reply = dispatcher.ask("GET", "/login/")
    assert reply.status == 200
    cookie = reply.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert word in cookie
    assert "unsafe-inline" not in reply.headers["content-security-policy"]
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["strict-transport-security"].startswith("max-age=")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] in {"no-store", "max-age=0, no-cache, no-store, must-revalidate, private"}
    assert "server" not in reply.headers


def test_an_unknown_name_of_the_server_is_refused(dispatcher: Dispatcher) -> None:
    assert dispatcher.ask("GET", "/healthz", headers={"Host": "evil.example.com"}).status == 400


def test_guessing_passwords_is_throttled_and_locks_nobody_else_out(dispatcher: Dispatcher) -> None:
    guesser = Browser(dispatcher)
    replies = [guesser.log_in(f"wrong-{number}", "victim").status for number in range(6)]
    assert replies[:4] == [200] * 4
    assert replies[-1] == 429
    assert Browser(dispatcher).log_in(dispatcher.password).status == 302


def test_a_stop_ends_those_who_wait_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    with running(tmp_path / "home") as dispatcher:
        browser = Browser(dispatcher)
        browser.log_in(dispatcher.password)
        connection, answer = opened(browser, "topic=instances")
        assert answer.status == 200

        def read_to_the_end() -> bytes:
            try:
                return answer.read()
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            rest = pool.submit(read_to_the_end)
            assert dispatcher.stop() == 0
            assert rest.result(timeout=20).startswith(b"retry")
    with running(tmp_path / "home") as again:
        # The second start makes no second administrator, and the pin is the one that hosts know.
        assert again.password == ""
        assert again.pin == dispatcher.pin
        assert browser.cookies
        assert Browser(again, browser.cookies).ask("GET", "/api/v1/workers").status == 200


def test_a_dispatcher_that_is_killed_loses_nothing_that_it_answered_for(tmp_path: Path) -> None:
    with running(tmp_path / "home") as first:
        browser = Browser(first)
        browser.log_in(first.password)
        made = browser.api("POST", "workers", {"name": "web", "host_url": "host.example.com"})
        host = Host(first)
        host.enrol(made.body["token"])
        host.start()
        values = {"worker": host.worker, "name": "acme", "source": "wordpress", "release": "6.1.9"}
        instance = browser.api("POST", "instances", {**values, "admin_email": "a@example.com"}).body["id"]
        run = browser.api("POST", f"instances/{instance}/deploy").body["id"]
        host.claim()
        lines = [event.model_dump(mode="json") for event in events("begin", ("intent", 0), ("done", 0), ("intent", 1))]
        assert host.report(run, lines).body == {"through": 4}
        first.process.kill()
        first.process.wait(30)
    with running(tmp_path / "home") as again:
        # The host went on by itself, and tells everything once more: it cannot know what was heard.
        host.dispatcher = browser.dispatcher = again
        rest = events(("done", 1), "commit", ("end", -1, {"ending": "committed"}), start=5)
        lines += [event.model_dump(mode="json") for event in rest]
        assert host.report(run, lines).body == {"through": 7}
        shown = browser.api("GET", f"runs/{run}").body
        assert (shown["state"], [step["state"] for step in shown["steps"]]) == (
            "committed",
            ["done", "done", "untouched"],
        )
        assert browser.api("GET", f"runs/{run}/events").body["count"] == 7
        assert browser.api("GET", f"instances/{instance}").body["state"] == "active"
