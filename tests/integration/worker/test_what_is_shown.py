"""What commands show of a job: no secret, and nothing that controls the terminal; who ran it is on record."""

import os
import pty
import sqlite3
import subprocess
from pathlib import Path

from dispatchers.fixtures import migrated
from dispatchers.job_commands import COMMAND, call, home

__all__ = ["home", "migrated"]
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\rgone"


def _seen_on_a_terminal(home: Path, *arguments: str) -> str:
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--home", str(home), *arguments],
        stdin=terminal, stdout=terminal, stderr=terminal,
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
    ):  # fmt: skip
        os.close(terminal)
        pieces = []
        while True:
            try:
                piece = os.read(master, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(master)
    return b"".join(pieces).decode(errors="replace")


def test_a_payloads_secrets_are_not_shown(home: Path) -> None:
    payload = home / "payload.json"
    payload.write_text('{"ftpPassword": "hunter22-x", "host": "ftp://a:hunter22-x@h", "n": 1}', encoding="ascii")
    call(home, "queue", "pause", "housekeeping")
    job = str(call(home, "job", "enqueue", "housekeeping", str(payload))["id"])
    for shown in (call(home, "job", "show", job), call(home, "job", "list"), call(home, "audit", "list")):
        assert "hunter22" not in str(shown)
    assert call(home, "job", "show", job)["payload"]["n"] == 1
    with sqlite3.connect(home / "dispatcher" / "dispatch.sqlite3") as connection:
        connection.execute("""UPDATE job SET result = '{"said": ["hunter22-x logged in"]}'""")
    assert "logged in" in str(call(home, "job", "show", job)["result"])
    assert "hunter22" not in str(call(home, "job", "show", job)), "a result may tell a secret under any name"
    assert "hunter22" not in _seen_on_a_terminal(home, "job", "show", job)


def test_what_a_job_says_does_not_control_the_terminal(home: Path) -> None:
    call(home, "queue", "pause", "housekeeping")
    job = str(call(home, "job", "enqueue", "housekeeping")["id"])
    with sqlite3.connect(home / "dispatcher" / "dispatch.sqlite3") as connection:
        connection.execute("UPDATE job SET error = ?, words = ?, enqueued_by = ?", (EVIL, EVIL, EVIL))
    for arguments in (("job", "show", job), ("job", "list")):
        seen = _seen_on_a_terminal(home, *arguments)
        assert "gone" in seen
        assert "\x1b]" not in seen
        assert "\x1b[2J" not in seen
        assert "\x9b" not in seen
        assert "owned" not in seen


def test_a_run_in_the_foreground_is_on_record(home: Path) -> None:
    payload = home / "payload.json"
    payload.write_text("{}", encoding="ascii")
    job = call(home, "worker", "run-service", "housekeeping", str(payload))["id"]
    entries = [entry for entry in call(home, "audit", "list") if entry["what"] == "job.run"]
    assert [entry["subject"] for entry in entries] == [f"job:{job}"]
