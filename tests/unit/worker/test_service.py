"""The service's unit: what systemd reads, what is refused, and the calls; systemd itself does not run here."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from central_dispatch.platforms import commands
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.worker import service as module
from central_dispatch.worker.service import Service, install, installed, uninstall

STAND_IN = Path(__file__).parents[2] / "servers" / "systemctl.py"


def service(name: str = "mail", home: str = "/var/lib/central dispatch", **more: object) -> Service:
    return Service(name=name, user="central-dispatch", home=Path(home), **more)  # type: ignore[arg-type]  # a test's shorthand


def read(text: str) -> dict[str, str]:
    lines = [line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return {key: value for key, _, value in lines}


def test_the_unit_starts_the_assignment_unprivileged_and_lets_its_jobs_end() -> None:
    found = read(service(listen="127.0.0.1:9464", drain_s=120).text())
    assert found["ExecStart"] == (
        f'{sys.executable} -m central_dispatch --home "/var/lib/central dispatch" worker execute --assignment mail '
        "--drain-limit 120 --listen 127.0.0.1:9464"
    )
    assert found["User"] == "central-dispatch"
    assert (found["Type"], found["NotifyAccess"], found["Restart"]) == ("notify", "main", "always")
    assert found["KillMode"] == "mixed"
    assert int(found["TimeoutStopSec"]) > 120 + 30 + 10  # the drain, an absent database, the children
    assert int(found["WatchdogSec"]) > 300  # the worker ends itself when its loop is stuck
    assert found["OOMPolicy"] == "continue"
    assert (found["NoNewPrivileges"], found["CapabilityBoundingSet"]) == ("yes", "")


def test_nothing_in_it_hides_other_users_processes_from_the_worker() -> None:
    """A worker must see whether an earlier parent of its host lives, whoever ran it: else it would take its rows."""
    found = read(service().text())
    assert not {"ProtectProc", "ProcSubset", "PrivatePIDs", "PrivateUsers"} & set(found)


def test_percent_signs_and_dollars_are_not_systemds(tmp_path: Path) -> None:
    command = read(service(home=f"{tmp_path}/50%/$x").text())["ExecStart"]
    assert f"{tmp_path}/50%%/$$x" in command


def test_a_line_end_in_an_argument_is_refused() -> None:
    with pytest.raises(HostError):
        service(listen="127.0.0.1:1\nUser=root").text()


@pytest.mark.parametrize("user", ["root\nUser=x", "", "a b", "-x", "x" * 40])
def test_a_user_that_is_none_is_named(user: str) -> None:
    [problem] = Service(name="a", user=user, home=Path("/x")).problems()
    assert problem.field == "user"


def test_systemd_itself_finds_no_fault_in_it(tmp_path: Path) -> None:
    """`systemd-analyze verify` reads units where systemd does not run. Its package is one of the tests' own."""
    unit = tmp_path / service().unit
    unit.write_text(Service(name="mail", user="www-data", home=tmp_path).text(), encoding="utf-8")
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is missing: apt-get install systemd"
    done = subprocess.run(
        [program, "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True, check=False
    )
    # Units that ours comes after may be faulty on this machine: only lines about ours count.
    assert [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line] == []


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with systemd, as far as the calls go: they reach the stand-in."""
    state, units = tmp_path / "state", tmp_path / "units"
    state.mkdir()
    units.mkdir()
    monkeypatch.setattr(module, "RUNNING", tmp_path)
    real = commands.run

    def run(argv: Sequence[str], **options: float) -> commands.Ended:
        assert argv[0] == "systemctl"
        return real([sys.executable, str(STAND_IN), str(state), str(units), *argv[1:]], **options)  # type: ignore[arg-type]  # as given

    monkeypatch.setattr(commands, "run", run)
    return tmp_path


def said(calls: Path) -> list[str]:
    return (calls / "state" / "calls").read_text(encoding="utf-8").splitlines()


def test_it_is_written_enabled_and_started_and_replaced_when_it_is_there(calls: Path) -> None:
    done = install(service(), calls / "units")
    assert isinstance(done, list)
    unit = "central-dispatch-worker-mail.service"
    assert said(calls) == ['["daemon-reload"]', f'["enable", "{unit}"]', f'["restart", "{unit}"]']
    assert installed(calls / "units") == ["mail"]
    assert (calls / "units" / unit).stat().st_mode & 0o777 == 0o644
    again = install(service(listen="127.0.0.1:1"), calls / "units")
    assert isinstance(again, list)
    assert again[0].startswith("Replaced")
    assert "--listen" in (calls / "units" / unit).read_text(encoding="utf-8")


def test_it_is_stopped_before_it_is_removed(calls: Path) -> None:
    install(service(), calls / "units")
    assert isinstance(uninstall("mail", calls / "units"), list)
    assert said(calls)[-2:] == [
        '["disable", "--now", "central-dispatch-worker-mail.service"]',
        '["daemon-reload"]',
    ]
    assert installed(calls / "units") == []
    again = uninstall("mail", calls / "units")
    assert isinstance(again, Problem)
    assert again.field == "name"


def test_a_unit_that_is_not_ours_is_left_alone(calls: Path) -> None:
    path = calls / "units" / "central-dispatch-worker-mail.service"
    path.write_text("[Unit]\nDescription=somebody's own\n", encoding="utf-8")
    for refused in (install(service(), calls / "units"), uninstall("mail", calls / "units")):
        assert isinstance(refused, Problem)
        assert "not ours" in refused.what
    assert "somebody" in path.read_text(encoding="utf-8")


def test_what_systemctl_says_is_passed_on(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "run", lambda *_, **__: commands.Ended(1, "", "Access denied"))
    refused = install(service(), calls / "units")
    assert isinstance(refused, Problem)
    assert "Access denied" in str(refused)
