"""How the host worker is installed: texts, and a crontab that keeps every other line."""

from pathlib import Path

import pytest

from central_dispatch.host import service
from central_dispatch.host.service import command, cron_fields, install_cron, uninstall, unit_text, with_block
from central_dispatch.provisioning.problem import Problem

TABLE = "MAILTO=root\n# mine\n*/5 * * * * /usr/bin/true\n"


class Table:
    """Adapter of `ports.Schedules` in memory."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, _user: str) -> str:
        return self.text

    def write(self, _user: str, table: str) -> None:
        self.text = table


def test_every_other_line_of_the_crontab_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service.sys, "executable", "/opt/cd/bin/python")
    table = Table(TABLE)
    for minutes in (15, 5):
        done = install_cron(table, every_minutes=minutes)
        assert not isinstance(done, Problem), done
    assert table.text.startswith(TABLE)
    assert table.text.count("--once") == 1
    assert "\n*/5 * * * * /opt/cd/bin/python -m central_dispatch worker host --once\n" in table.text
    assert not isinstance(uninstall(table, tmp_path), Problem)
    assert table.text == TABLE


def test_a_path_with_a_meaning_to_the_shell_is_refused() -> None:
    table = Table(TABLE)
    assert isinstance(install_cron(table, Path("/srv/a b;c")), Problem)
    assert table.text == TABLE


@pytest.mark.parametrize(
    ("minutes", "fields"),
    [(1, "* * * * *"), (15, "*/15 * * * *"), (60, "0 */1 * * *"), (720, "0 */12 * * *"), (1440, "0 0 * * *")],
)
def test_each_even_interval_has_its_fields(minutes: int, fields: str) -> None:
    assert cron_fields(minutes) == fields


@pytest.mark.parametrize("minutes", [0, -5, 7, 45, 90, 2880])
def test_an_uneven_interval_is_refused_since_cron_would_run_it_otherwise(minutes: int) -> None:
    assert isinstance(cron_fields(minutes), Problem)


def test_a_block_that_never_ended_swallows_nothing() -> None:
    half = "# BEGIN central-dispatch host worker\n" + TABLE
    assert with_block(half, "") == half
    assert with_block(TABLE, "") == TABLE


def test_an_empty_crontab_gets_the_block_alone() -> None:
    assert with_block("", "line") == "# BEGIN central-dispatch host worker\nline\n# END central-dispatch host worker\n"


def test_the_unit_starts_us_and_stops_with_patience() -> None:
    text = unit_text(command(Path("/srv/my home")))
    assert '-m central_dispatch --home "/srv/my home" worker host\n' in text
    assert "TimeoutStopSec=90" in text
    assert "RestartPreventExitStatus=76" in text


def test_a_percent_sign_in_a_path_means_itself() -> None:
    assert '"/srv/100%%"' in unit_text(["/bin/x", "/srv/100%"])


def test_with_nothing_installed_uninstall_says_so(tmp_path: Path) -> None:
    assert uninstall(Table(TABLE), tmp_path) == ["Nothing was installed."]


def test_without_systemd_no_unit_is_written_and_cron_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service, "_RUNNING", tmp_path / "none")
    refused = service.install_service(directory=tmp_path)
    assert isinstance(refused, Problem)
    assert "--cron" in refused.mend
    assert list(tmp_path.iterdir()) == []


def test_uninstalling_takes_a_unit_away_where_systemd_does_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such as in a chroot, or after a switch to another init system."""
    monkeypatch.setattr(service, "_RUNNING", tmp_path / "none")
    (tmp_path / service.UNIT).write_text("[Unit]")
    table = Table(TABLE)
    install_cron(table)
    done = uninstall(table, tmp_path)
    assert not isinstance(done, Problem)
    assert table.text == TABLE
    assert list(tmp_path.iterdir()) == []


def test_the_crontabs_line_goes_even_where_systemd_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service, "_RUNNING", tmp_path)
    monkeypatch.setattr(service.commands, "run", lambda _argv: service.commands.Ended(1, "", "no bus"))
    (tmp_path / service.UNIT).write_text("[Unit]")
    table = Table(TABLE)
    install_cron(table)
    refused = uninstall(table, tmp_path)
    assert isinstance(refused, Problem)
    assert "no bus" in refused.why
    assert table.text == TABLE
