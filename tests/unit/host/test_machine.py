"""What a host says of itself, and how it takes changed settings over."""

from pathlib import Path

import pytest

from central_dispatch.host.machine import ConfiguredMachine, facts_of
from central_dispatch.host.settings import Home, set_values
from central_dispatch.host.vault import FileVault
from central_dispatch.platforms.facts import Facts
from central_dispatch.provisioning.problem import HostError, Problem

FOUND = Facts(
    platform="Debian GNU/Linux 12",
    layout="debian",
    separate_users=True,
    web_server="Apache 2.4",
    web_server_runs=True,
    web_server_problem="",
    php="8.2.1",
    php_fpm="8.2.1",
    database="MariaDB 10.11.1",
    database_problem="",
    disk_total=100,
    disk_free=40,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path)
    chosen = set_values(
        found,
        {
            "layout": "debian",
            "install_path": str(tmp_path / "www"),
            "state_directory": str(tmp_path / "state"),
            "runtime_directory": str(tmp_path / "run"),
            "archive_directory": str(tmp_path / "archives"),
            "certificate_directory": str(tmp_path / "certificates"),
        },
    )
    assert not isinstance(chosen, Problem), chosen
    (tmp_path / "state").mkdir(mode=0o700)
    return found


def test_a_healthy_host_has_no_problem() -> None:
    facts = facts_of(FOUND)
    assert facts.problems == ()
    assert (facts.web_server, facts.php) == ("Apache 2.4, running", "PHP 8.2.1 and FPM 8.2.1")
    assert (facts.free_bytes, facts.total_bytes) == (40, 100)


def test_what_is_missing_or_down_is_a_problem_in_words() -> None:
    facts = facts_of(
        Facts(
            platform="x",
            layout="debian",
            separate_users=False,
            web_server="Apache 2.4",
            web_server_runs=False,
            web_server_problem="Syntax error on line 3",
            php="",
            php_fpm="",
            database="",
            database_problem="it is down",
            disk_total=1,
            disk_free=1,
        )
    )
    assert facts.web_server == "Apache 2.4, not running"
    said = " ".join(facts.problems)
    assert all(word in said for word in ("Syntax error", "it is down", "does not run", "PHP-FPM is missing"))


def test_changed_settings_are_taken_over_and_kept_services_stay_with_their_keeper(home: Home, tmp_path: Path) -> None:
    machine = ConfiguredMachine(home, FileVault(tmp_path / "vault"))
    before = machine.host()
    assert machine.settings().install_path == str(tmp_path / "www")
    set_values(home, {"install_path": str(tmp_path / "elsewhere")})
    machine.refresh()
    assert machine.settings().install_path == str(tmp_path / "elsewhere")
    assert machine.host() is not before
    assert machine.host().services is before.services


def test_settings_that_became_unreadable_leave_the_former_ones_in_force(home: Home, tmp_path: Path) -> None:
    machine = ConfiguredMachine(home, FileVault(tmp_path / "vault"))
    before = machine.host()
    home.settings_path.write_text("install_path = ")
    with pytest.raises(HostError, match="not valid TOML"):
        machine.refresh()
    assert machine.host() is before


def test_the_hosts_own_directories_are_made_with_their_modes(home: Home, tmp_path: Path) -> None:
    ConfiguredMachine(home, FileVault(tmp_path / "vault")).host()
    assert (tmp_path / "archives").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "pools").stat().st_mode & 0o777 == 0o755
