"""The contract of `ports.Schedules`, with this machine's own `crontab`."""

import os
import pwd
from pathlib import Path

import pytest

from central_dispatch.platforms.crontab import Crontab
from central_dispatch.provisioning.problem import HostError
from servers.users import Users

TABLE = "# central-dispatch acme\n*/5 * * * * /usr/bin/php8.2 'a b' >/dev/null 2>&1\n"


def test_a_user_without_a_table_has_an_empty_one(users: Users) -> None:
    assert Crontab().read(users.make().name) == ""


def test_a_table_comes_back_as_it_was_written(users: Users) -> None:
    user, neighbour = users.make(), users.make()
    schedules = Crontab()
    schedules.write(user.name, TABLE)
    assert schedules.read(user.name) == TABLE
    assert schedules.read(neighbour.name) == ""
    schedules.write(user.name, "@daily true")
    assert schedules.read(user.name) == "@daily true\n"
    schedules.write(user.name, "")


def test_an_empty_text_removes_the_table_and_can_be_repeated(users: Users) -> None:
    user = users.make()
    schedules = Crontab()
    schedules.write(user.name, TABLE)
    for _ in range(2):
        schedules.write(user.name, "")
        assert schedules.read(user.name) == ""


def test_a_table_that_cron_refuses_leaves_the_old_one(users: Users) -> None:
    user = users.make()
    schedules = Crontab()
    schedules.write(user.name, TABLE)
    with pytest.raises(HostError, match="crontab"):
        schedules.write(user.name, "this is no schedule\n")
    assert schedules.read(user.name) == TABLE
    schedules.write(user.name, "")


def test_a_user_that_is_gone_has_no_table_and_gets_none(users: Users) -> None:
    name = users.name()
    schedules = Crontab()
    assert schedules.read(name) == ""
    schedules.write(name, "")
    with pytest.raises(HostError, match="no such user"):
        schedules.write(name, TABLE)


def test_a_missing_crontab_program_is_said_so() -> None:
    us = pwd.getpwuid(os.getuid()).pw_name
    with pytest.raises(HostError, match="is missing"):
        Crontab("/nonexistent/crontab").read(us)


def test_an_ordinary_user_reaches_the_own_table_alone(passable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that records how it is called stands for `crontab`."""
    program = passable / "crontab"
    program.write_text(f'#!/bin/sh\necho "$@" >> {passable}/calls\n')
    program.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("nobody").pw_uid)
    schedules = Crontab(str(program))
    schedules.read("nobody")
    schedules.write("nobody", TABLE)
    assert (passable / "calls").read_text().splitlines() == ["-l", "-"]
    with pytest.raises(HostError, match="does not run as root"):
        schedules.read("daemon")
