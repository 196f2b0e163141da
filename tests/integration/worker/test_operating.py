"""Schedules, assignments, services, watching and restoring as people call them, with a dispatcher's real files."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dispatchers.fixtures import migrated
from servers.command_shell import Shell, environment

__all__ = ["migrated"]
COMMAND = [sys.executable, "-m", "central_dispatch"]
Q = "housekeeping"


@pytest.fixture
def home(tmp_path: Path, migrated: bytes) -> Path:
    dispatcher = tmp_path / "dispatcher"
    dispatcher.mkdir(mode=0o700)
    (dispatcher / "dispatch.sqlite3").write_bytes(migrated)
    (dispatcher / "secret-key").write_text("x" * 60, encoding="ascii")
    return tmp_path


@pytest.fixture
def call(home: Path) -> Iterator[Shell]:
    with Shell(home) as shell:
        yield shell


def until(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@contextmanager
def working(home: Path, *arguments: str) -> Iterator[Path]:
    """A queue worker; gives its log, whose lines are JSON."""
    log = home / "worker.log"
    with log.open("wb") as file:
        argv = [*COMMAND, "--home", str(home), "worker", "execute", *arguments, "--log-format", "json", "--json"]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=file, env=environment())
    try:
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def lines(log: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
    ]


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_a_schedule_is_made_changed_run_switched_and_removed(home: Path, call: Shell) -> None:
    call("queue", "set", Q, "period_s=")
    made = call("schedule", "set", "nightly", "--queue-name", "house-keeping", "--cron", "0 3 * * *")
    assert (made["queue"], made["zone"], made["on"]) == (Q, "UTC", True)
    changed = call("schedule", "set", "nightly", "--zone", "Asia/Tokyo")
    assert (changed["cron"], changed["next_run_at"][11:19]) == ("0 3 * * *", "18:00:00")
    job = call("schedule", "run-now", "nightly")["job"]
    call("schedule", "run-now", "nightly", code=1)
    with working(home):
        until(lambda: call("job", "show", str(job))["state"] == "finished")
    assert call("job", "show", str(job))["enqueued_by"] == "schedule:nightly"
    assert call("schedule", "off", "nightly")["next_run_at"] is None
    [listed] = call("schedule", "list")
    assert (listed["on"], listed["last_job"], listed["last_state"]) == (False, job, "finished")
    assert call("schedule", "on", "nightly")["next_run_at"] is not None
    call("schedule", "remove", "nightly", code=1)  # nobody answers
    call("schedule", "remove", "nightly", "--yes")
    call("schedule", "on", "nightly", code=3)
    acts = [entry["what"] for entry in call("audit", "list", "--subject", "schedule:nightly")]
    assert sorted(set(acts)) == ["schedule.remove", "schedule.run", "schedule.set", "schedule.switch"]


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [("--cron", "0 0 30 2 *", "expression"), ("--cron", "* * *", "expression"), ("--zone", "Mars", "zone")],
)
def test_a_bad_schedule_names_its_field_and_is_not_kept(call: Shell, option: str, value: str, field: str) -> None:
    given = {"--cron": "0 3 * * *", option: value}
    words = [word for pair in given.items() for word in pair]
    refused = call("schedule", "set", "x", "--queue-name", Q, *words, code=1)
    assert refused["error"]["problems"][0]["field"] == field
    assert [one["name"] for one in call("schedule", "list") if not one["period"]] == []


def test_a_worker_follows_its_assignment_is_watched_and_says_what_it_does(home: Path, call: Shell) -> None:
    call("worker", "execute", "--assignment", "night", code=1)
    call("worker", "assignment", "set", "night", "-m", "2")
    call("worker", "execute", "--assignment", "night", "-m", "3", code=2)
    with working(home, "--assignment", "night", "--listen", "127.0.0.1:0") as log:
        address = until(
            lambda: next((one["message"] for one in lines(log) if "metrics" in one["message"]), "")
        ).split()[-1]
        until(lambda: get(address, "/healthz")[0] == 200)
        until(
            lambda: (
                f'central_dispatch_executions_total{{outcome="done",queue="{Q}"}} 1.0' in get(address, "/metrics")[1]
            )
        )
        [worker] = call("worker", "list", "--queues")
        assert (worker["name"], worker["slots"], worker["state"]) == ("night", 2, "online")
        call("worker", "assignment", "set", "night", "-m", "4", "--queue-name", "house_keeping")
        until(lambda: "central_dispatch_worker_slots 4.0" in get(address, "/metrics")[1])
        [same] = call("worker", "list", "--queues")
        assert (same["pid"], same["slots"], same["queues"]) == (worker["pid"], 4, [Q])
        assert (
            "Stop these first"
            in call("worker", "assignment", "remove", "night", "--yes", code=1)["error"]["problems"][0]["mend"]
        )
    call("worker", "assignment", "remove", "night", "--yes")
    assert call("worker", "list", "--queues") == []


def test_an_address_that_cannot_be_listened_on_ends_the_worker_with_the_reason(call: Shell) -> None:
    refused = call("worker", "execute", "--listen", "192.0.2.1:9464", code=1)
    assert refused["error"]["problems"][0]["field"] == "listen"


def test_each_line_about_a_job_has_its_number_kind_and_fence(home: Path, call: Shell) -> None:
    job = call("job", "enqueue", "mainQueue")["id"]  # without a payload it can only fail
    with working(home, "--queue-name", "main-queue") as log:
        [line] = until(lambda: [one for one in lines(log) if one.get("job") == job])
    assert (line["kind"], line["queue"], line["level"]) == ("mainQueue", "mainQueue", "error")
    assert line["fence"] > 0
    assert "is in error" in line["message"]


def test_what_a_service_would_be_is_shown_where_systemd_does_not_run(home: Path, call: Shell) -> None:
    if Path("/run/systemd/system").is_dir():
        pytest.skip("this machine runs systemd: the command would install a service")
    os.chown(home / "dispatcher", 33, 33)
    shown = call("worker", "install", "mail", "--queue-name", Q, code=1)
    assert "User=www-data" in shown["text"]
    assert shown["installed"] is False
    assert call("worker", "install", "mail", "--user", "root", code=1)["error"]["problems"][0]["field"] == "user"
    assert call("worker", "install", "mail", "--user", "daemon", code=1)["error"]["problems"][0]["field"] == "user"
    call("worker", "uninstall", "no-such-worker", "--yes", code=1)


def test_after_a_restore_what_ran_is_put_back_once_it_is_confirmed(home: Path, call: Shell) -> None:
    job = call("job", "enqueue", Q)["id"]
    with sqlite3.connect(home / "dispatcher" / "dispatch.sqlite3") as connection:
        connection.execute("UPDATE job SET state = 'running', parent = 'gone', fence = 7 WHERE id = ?", (job,))
    call("restored", code=1)
    assert call("job", "show", str(job))["state"] == "running"
    assert call("restored", "--yes")["jobs"] == [job]
    shown = call("job", "show", str(job))
    assert (shown["state"], shown["attempts"]) == ("waiting", 0)
    assert call("audit", "list", "--subject", "store")[0]["what"] == "store.restored"


def test_long_acts_tell_how_far_they_are_and_ctrl_c_ends_them_between_two_transactions(home: Path, call: Shell) -> None:
    """Enough rows that a signal comes in the middle: what is done stays done, the rest waits."""
    with sqlite3.connect(home / "dispatcher" / "dispatch.sqlite3") as connection:
        connection.executemany(
            "INSERT INTO job (queue, priority, due_at, payload, payload_version, enqueued_by, created_at) "
            "VALUES (?, 5, '2026-01-01 00:00:00.000000', '{}', 1, 'x', '2026-01-01 00:00:00.000000')",
            [(Q,)] * 20_000,
        )
    argv = [*COMMAND, "--home", str(home), "queue", "purge", Q, "--yes", "--json"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment())

    def waiting() -> int:
        with sqlite3.connect(home / "dispatcher" / "dispatch.sqlite3", timeout=30) as connection:
            return int(connection.execute("SELECT count(*) FROM job WHERE state = 'waiting'").fetchone()[0])

    until(lambda: waiting() < 20_000)
    process.send_signal(signal.SIGINT)
    said = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 130
    left = waiting()
    assert 0 < left < 20_000
    why = said["error"]["problems"][0]["why"]
    done = 20_000 - left
    # The signal may come between a transaction's end and the count of it.
    assert why in {f"at least {known} of 20000 are done" for known in (done, done - 500)}
    assert call("queue", "purge", Q, "--yes")["jobs"] == left


def test_jobs_are_found_by_time_error_and_page(call: Shell) -> None:
    numbers = [call("job", "enqueue", Q)["id"] for _ in range(3)]
    first = call("job", "list", "--limit", "2")
    assert [one["id"] for one in first] == numbers[:0:-1]
    rest = call("job", "list", "--limit", "2", "--after", str(first[-1]["id"]))
    assert [one["id"] for one in rest] == [numbers[0]]
    assert call("job", "list", "--until", "1h") == []
    assert len(call("job", "list", "--since", "1h")) == 3
    assert call("job", "list", "--error", "no such words") == []
    call("job", "list", "--after", "4711", code=3)
