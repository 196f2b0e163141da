"""The provisioning account on a real MariaDB, and a run of the host itself on a sandbox."""

import os
from pathlib import Path

import pytest
from pymysql import connect
from pymysql.err import OperationalError

from central_dispatch.host import local_run, lock, prepare_database
from central_dispatch.host.resolved import resolve
from central_dispatch.host.settings import Home, load, set_values
from central_dispatch.platforms.mariadb import MariaDb
from central_dispatch.platforms.sandbox import MariaDbServer, Sandbox
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.problem import Problem

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="the server knows only its own Unix user as its administrator")


@pytest.fixture
def home(tmp_path: Path, mariadb_server: MariaDbServer) -> Home:
    found = Home(tmp_path)
    chosen = set_values(found, {"layout": "debian", "database_socket": str(mariadb_server.socket)})
    assert not isinstance(chosen, Problem)
    return found


def database(home: Home) -> MariaDb:
    settings = load(home)
    assert not isinstance(settings, Problem), settings
    found = resolve(settings, home)
    assert not isinstance(found, Problem), found
    return MariaDb(found.database)


@ROOT
def test_the_account_makes_databases_and_users_and_may_do_nothing_else(
    home: Home, mariadb_server: MariaDbServer
) -> None:
    shown = prepare_database.statements(home)
    assert not isinstance(shown, Problem)
    assert "GRANT" in shown
    done = prepare_database.apply(home)
    assert not isinstance(done, Problem), done
    password = prepare_database.password_path(home).read_text().strip()
    assert password not in shown
    assert prepare_database.password_path(home).stat().st_mode & 0o777 == 0o600
    assert password not in home.settings_path.read_text()
    ours = database(home)
    ours.create("prepared", "comment")
    ours.create_user("prepared", "tenant's")
    ours.grant("prepared", "prepared")
    ours.drop_user("prepared")
    ours.drop("prepared")
    ours.close()
    socket = str(mariadb_server.socket)
    with connect(unix_socket=socket, user=prepare_database.ACCOUNT, password=password) as connection:
        for forbidden in ("SET GLOBAL general_log = 1", "SELECT * FROM mysql.user INTO OUTFILE 'x'"):
            with pytest.raises(OperationalError, match="denied"):
                connection.cursor().execute(forbidden)


@ROOT
def test_a_second_preparation_cuts_nobody_off(home: Home) -> None:
    assert not isinstance(prepare_database.apply(home), Problem)
    before = prepare_database.password_path(home).read_text()
    running = database(home)
    running.version()
    assert not isinstance(prepare_database.apply(home), Problem)
    assert prepare_database.password_path(home).read_text() == before
    running.close()
    assert database(home).version()


def test_a_wrong_root_password_changes_no_setting(home: Home) -> None:
    before = home.settings_path.read_bytes()
    refused = prepare_database.apply(home, root_user="nobody", root_password="wrong")
    assert isinstance(refused, Problem)
    assert home.settings_path.read_bytes() == before


def test_an_account_name_that_is_no_name_is_refused_before_anything_is_asked(home: Home) -> None:
    refused = prepare_database.statements(home, "root'@'%")
    assert isinstance(refused, Problem)
    assert refused.field == "database_user"


@pytest.fixture
def sandbox_home(tmp_path: Path, sandbox: Sandbox) -> Home:
    found = Home(tmp_path)
    chosen = set_values(
        found,
        {
            "layout": "sandbox",
            "sandbox_directory": str(sandbox.directory),
            "state_directory": str(tmp_path / "state"),
            "archive_directory": str(tmp_path / "archives"),
            "sources_directory": str(tmp_path / "new" / "sources"),
            "default_certificate": str(sandbox.certificate),
            "default_key": str(sandbox.key),
        },
    )
    assert not isinstance(chosen, Problem), chosen
    (tmp_path / "state").mkdir(mode=0o700)
    return found


def test_what_the_host_lacks_is_made_under_a_journal_and_then_nothing_is_lacking(sandbox_home: Home) -> None:
    plan = local_run.look(sandbox_home)
    assert isinstance(plan, Plan), plan
    assert any(str(sandbox_home.directory) in change.where for _, changes in plan.changes() for change in changes)
    assert local_run.carry_out(sandbox_home, plan) is None
    assert (sandbox_home.settings_path.parent / "new" / "sources").is_dir()
    after = local_run.look(sandbox_home)
    assert isinstance(after, Plan)
    assert not after.steps


def test_a_preparation_keeps_out_of_the_host_workers_way(sandbox_home: Home) -> None:
    plan = local_run.look(sandbox_home)
    assert isinstance(plan, Plan), plan
    held = lock.take(sandbox_home.settings_path.parent / "state")
    assert isinstance(held, lock.WorkerLock)
    refused = local_run.carry_out(sandbox_home, plan)
    held.release()
    assert isinstance(refused, Problem)
    assert str(os.getpid()) in refused.what


def test_a_host_without_a_default_certificate_is_prepared_for_instances_that_bring_their_own(
    sandbox_home: Home,
) -> None:
    emptied = set_values(sandbox_home, {"default_certificate": "", "default_key": ""})
    assert not isinstance(emptied, Problem)
    plan = local_run.look(sandbox_home)
    assert isinstance(plan, Plan), plan
    assert not any("000-central-dispatch" in change.where for _, made in plan.changes() for change in made)
