"""The whole way from a server without anything to a queue worker, by the commands of the how-to."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.stores.server.preparing import setup_sql
from queue_workers.rig import write_configuration
from servers.job_databases import DatabaseServer, shared_server

USER = "least"
SECRET = "a passphrase of this test"
FIRST_START = "from central_dispatch.portal.first_start import first_start; first_start()"


def toml(server: DatabaseServer, name: str, password_file: Path) -> str:
    return (
        f'[database]\nengine = "{server.engine}"\nport = {server.port}\nname = "{name}"\nuser = "{USER}"\n'
        f'password_file = "{password_file}"\n'
    )


def command(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, *arguments], env={**environment, "CENTRAL_DISPATCH_HOME": str(home)},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def shown(home: Path, *arguments: str) -> Any:
    ended = command(home, "-m", "central_dispatch", *arguments, "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_from_an_empty_server_to_a_job_that_is_done(engine: str, tmp_path: Path) -> None:
    server = shared_server(engine)
    password_file = tmp_path / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(SECRET + "\n")
    write_configuration(tmp_path, toml(server, "whole_way", password_file))

    refused = command(tmp_path, "-m", "central_dispatch", "dispatcher", "check-database")
    assert refused.returncode == 5
    assert "show-database-sql" in refused.stdout + refused.stderr
    assert SECRET not in refused.stdout + refused.stderr

    administrator = server.administrator()
    for statement in shown(tmp_path, "dispatcher", "show-database-sql", "--from", "127.0.0.1")["statements"]:
        administrator.cursor().execute(statement.replace("the password in password_file", SECRET))
    if engine == "mariadb":  # a client over the network may be seen as either
        for statement in setup_sql(server.configuration("whole_way", user=USER), "localhost")[1:]:
            administrator.cursor().execute(statement.replace("the password in password_file", SECRET))
    administrator.close()
    assert shown(tmp_path, "dispatcher", "check-database")["ok"] is True

    started = command(tmp_path, "-c", FIRST_START)
    assert started.returncode == 0, started.stderr
    assert shown(tmp_path, "job", "list") == []
    enqueued = shown(tmp_path, "job", "enqueue", "housekeeping")
    worker = command(tmp_path, "-m", "central_dispatch", "worker", "execute", "--until-empty")
    assert worker.returncode == 0, worker.stderr
    states = {job["state"] for job in shown(tmp_path, "job", "list")}
    assert states == {"finished"}, (enqueued, worker.stderr)
    assert SECRET not in worker.stderr
    assert not (tmp_path / "dispatcher" / "dispatch.sqlite3").exists()
