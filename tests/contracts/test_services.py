"""The contract of `ports.Services`: kept by us with real processes; systemd's with a stand-in for `systemctl`."""

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

import servers.systemctl
from central_dispatch.platforms import proc
from central_dispatch.platforms.facts import find_php_fpm
from central_dispatch.platforms.files import PosixFiles
from central_dispatch.platforms.kept import KeptServices
from central_dispatch.platforms.layouts import DEBIAN, RED_HAT
from central_dispatch.platforms.linux import us
from central_dispatch.platforms.systemd import SystemdServices
from central_dispatch.provisioning.ports import Services, Unit
from central_dispatch.provisioning.problem import HostError, Occupied
from servers.users import Users

# Makes a socket in its runtime directory, forks a worker, and ignores polite requests where it is told to.
PROGRAM = (
    "import os,signal,socket,sys,time\n"
    "if sys.argv[2] == 'stubborn': signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "s = socket.socket(socket.AF_UNIX)\n"
    "s.bind(sys.argv[1] + '/socket')\n"
    "os.fork()\n"
    "time.sleep(600)\n"
)


@dataclass
class Place:
    """Where the services of one test live."""

    directory: Path
    user: str
    make: Callable[[], Services]

    def unit(self, name: str = "cdt-one", how: str = "polite") -> Unit:
        runtime = str(self.directory / "run" / name)
        program = self.directory / "program.py"
        program.write_text(PROGRAM)
        argv = ("/usr/bin/python3", str(program), runtime, how)
        return Unit(name, argv, self.user, "A test's service", runtime)


def _kept(place: Path) -> KeptServices:
    return KeptServices(PosixFiles(), str(place / "services"), us(), "www-data")


@pytest.fixture(params=["kept", "systemd"])
def place(request: pytest.FixtureRequest, passable: Path, users: Users) -> Iterator[Place]:
    for name in ("services", "run", "state"):
        (passable / name).mkdir()
    stand_in = (sys.executable, servers.systemctl.__file__, str(passable / "state"), str(passable / "services"))

    def make() -> Services:
        if request.param == "kept":
            return _kept(passable)
        return SystemdServices(PosixFiles(), "www-data", str(passable / "services"), stand_in)

    yield Place(passable, users.make().name, make)
    services = make()
    for name in ("cdt-one", "cdt-two"):
        services.remove(name)


@pytest.fixture
def kept(passable: Path, users: Users) -> Iterator[Place]:
    for name in ("services", "run"):
        (passable / name).mkdir()
    yield Place(passable, users.make().name, lambda: _kept(passable))
    _kept(passable).remove("cdt-one")


def test_a_unit_is_defined_with_its_mark_and_runs(place: Place) -> None:
    services, unit = place.make(), place.unit()
    assert services.mark_of(unit.name) is None
    assert not services.running(unit.name)
    services.install(unit, "mark of a run")
    assert services.mark_of(unit.name) == "mark of a run"
    assert services.running(unit.name)
    path, text = services.definition(unit)
    found = Path(path).read_text()
    assert found != text
    assert found.replace("mark of a run", "").replace("# \n", "") == text


def test_a_taken_name_is_left_as_it_is(place: Place) -> None:
    services, unit = place.make(), place.unit()
    path, _ = services.definition(unit)
    Path(path).write_text("somebody's own")
    assert services.mark_of(unit.name) == ""
    with pytest.raises(Occupied):
        services.install(unit, "mark")
    assert Path(path).read_text() == "somebody's own"
    Path(path).unlink()


def test_a_mark_is_changed_without_a_stop(place: Place) -> None:
    services, unit = place.make(), place.unit()
    services.install(unit, "open")
    before = [one.pid for one in proc.processes() if _is_of(one, place)]
    for _ in range(2):
        services.describe(unit.name, "sealed")
        assert services.mark_of(unit.name) == "sealed"
    assert [one.pid for one in proc.processes() if _is_of(one, place)] == before


def test_removing_takes_definition_and_runtime_directory_and_can_be_repeated(place: Place) -> None:
    services, unit = place.make(), place.unit()
    services.install(unit, "mark")
    for _ in range(2):
        services.remove(unit.name)
        assert services.mark_of(unit.name) is None
        assert not services.running(unit.name)
    assert list((place.directory / "services").iterdir()) == []
    assert list((place.directory / "run").iterdir()) == []
    assert not [one for one in proc.processes() if _is_of(one, place)]


def test_starting_can_be_repeated(place: Place) -> None:
    services, unit = place.make(), place.unit()
    services.install(unit, "mark")
    before = [one.pid for one in proc.processes() if _is_of(one, place)]
    services.start(unit.name)
    assert [one.pid for one in proc.processes() if _is_of(one, place)] == before
    with pytest.raises(HostError):
        services.start("cdt-two")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden"])
def test_a_name_that_is_a_path_is_refused(place: Place, name: str) -> None:
    with pytest.raises(HostError, match="plain name"):
        place.make().mark_of(name)


def _is_of(one: proc.Process, place: Place) -> bool:
    return one.uid == pwd.getpwnam(place.user).pw_uid


def test_a_kept_service_runs_as_its_user_from_the_start_and_can_gain_nothing(kept: Place) -> None:
    kept.make().install(kept.unit(), "mark")
    found = [one for one in proc.processes() if _is_of(one, kept)]
    assert found
    for one in found:
        status = Path(f"/proc/{one.pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Umask:\t0027" in status
        environment = Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0")
        assert {pair.partition(b"=")[0] for pair in environment if pair} == {
            b"PATH", b"HOME", b"USER", b"LOGNAME", b"LANG", b"CENTRAL_DISPATCH_UNIT",
        }  # fmt: skip
    runtime = PosixFiles().find(kept.unit().runtime_directory)
    assert runtime
    assert (runtime.owner, runtime.group, runtime.mode) == (kept.user, "www-data", 0o2750)
    made = PosixFiles().find(f"{kept.unit().runtime_directory}/socket")
    assert made
    assert made.group == "www-data"


def test_a_service_outlives_a_killed_host_worker_and_is_found_again(kept: Place) -> None:
    code = (
        "import json,sys,time\n"
        "from central_dispatch.platforms.kept import KeptServices\n"
        "from central_dispatch.platforms.files import PosixFiles\n"
        "from central_dispatch.platforms.linux import us\n"
        "from central_dispatch.provisioning.ports import Unit\n"
        "unit = json.loads(sys.argv[2]); unit[1] = tuple(unit[1])\n"
        "KeptServices(PosixFiles(), sys.argv[1], us(), 'www-data').install(Unit(*unit), 'mark')\n"
        "print('up', flush=True); time.sleep(600)\n"
    )
    unit = kept.unit()
    values = [unit.name, unit.argv, unit.user, unit.description, unit.runtime_directory]
    argv = [sys.executable, "-c", code, str(kept.directory / "services"), json.dumps(values)]
    worker = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert worker.stdout
    assert worker.stdout.readline() == "up\n"
    worker.kill()
    worker.wait()
    worker.stdout.close()
    before = [one.pid for one in proc.processes() if _is_of(one, kept)]
    services = kept.make()
    assert services.running(unit.name)
    services.start(unit.name)
    assert [one.pid for one in proc.processes() if _is_of(one, kept)] == before
    # Killed before it could note the number: found by what the processes hold open.
    (kept.directory / "services" / f"{unit.name}.pid").unlink()
    assert kept.make().running(unit.name)
    services.remove(unit.name)
    assert [one.pid for one in proc.processes() if _is_of(one, kept)] == []


def test_a_note_with_the_number_of_a_later_process_is_not_believed(kept: Place) -> None:
    services, unit = kept.make(), kept.unit()
    services.install(unit, "mark")
    main = next(one for one in proc.processes() if _is_of(one, kept) and one.session == one.pid)
    os.kill(main.pid, signal.SIGKILL)
    while proc.find(main.pid):
        time.sleep(0.01)
    # Its worker lives on, so that something of the service is still there.
    assert [one for one in proc.processes() if _is_of(one, kept)]
    (kept.directory / "services" / f"{unit.name}.pid").write_text(f"{os.getpid()} 1\n")
    assert not kept.make().running(unit.name)


def test_a_dead_main_process_is_started_again_and_its_orphans_end_first(kept: Place) -> None:
    services, unit = cast("KeptServices", kept.make()), kept.unit()
    services.install(unit, "mark")
    main = next(one for one in proc.processes() if _is_of(one, kept) and one.session == one.pid)
    orphans = {one.pid for one in proc.processes() if _is_of(one, kept)} - {main.pid}
    os.kill(main.pid, signal.SIGKILL)
    while proc.find(main.pid):
        time.sleep(0.01)
    assert not services.running(unit.name)
    assert services.keep() == [unit.name]
    assert services.running(unit.name)
    assert not orphans & {one.pid for one in proc.processes()}
    assert services.keep() == []


def test_a_service_that_dies_again_and_again_is_tried_ever_more_rarely(kept: Place) -> None:
    services, unit = cast("KeptServices", kept.make()), kept.unit()
    services.install(unit, "mark")
    begun = time.monotonic()

    def tried_at(after_s: float) -> bool:
        services.stop(unit.name)
        return services.keep(begun + after_s) == [unit.name]

    assert [tried_at(after_s) for after_s in (0, 0.5, 1.1, 2, 3.2, 5, 7.3)] == [
        True,
        False,
        True,
        False,
        True,
        False,
        True,
    ]
    assert tried_at(1000)


def test_a_program_that_ends_at_once_is_said_so_in_its_own_words(kept: Place) -> None:
    services = kept.make()
    unit = Unit("cdt-one", ("/bin/sh", "-c", "echo bad configuration >&2; exit 3"), kept.user, "", "")
    with pytest.raises(HostError, match=r"exit code 3.*bad configuration"):
        services.install(unit, "mark")
    assert services.mark_of("cdt-one") == "mark"
    services.remove("cdt-one")


def test_a_service_that_does_not_listen_is_ended_by_force(kept: Place) -> None:
    services, unit = kept.make(), kept.unit(how="stubborn")
    services.install(unit, "mark")
    services.remove(unit.name)
    assert [one.pid for one in proc.processes() if _is_of(one, kept)] == []


def test_a_units_text_quotes_what_systemd_would_read_otherwise(passable: Path) -> None:
    services = SystemdServices(PosixFiles(), "www-data", str(passable))
    argv = ("/usr/sbin/php-fpm8.2", "--fpm-config", "/a b/100%.conf", "$HOME", 'q"\\')
    _, text = services.definition(Unit("cd-acme", argv, "cd-acme", "100% Acme", "/run/central-dispatch/cd-acme"))
    assert 'ExecStart=/usr/sbin/php-fpm8.2 --fpm-config "/a b/100%%.conf" "$$HOME" "q\\"\\\\"\n' in text
    assert "Description=100%% Acme\n" in text
    assert "User=cd-acme\n" in text
    assert "NoNewPrivileges=yes\n" in text
    assert "install -d -m 2750 -o cd-acme -g www-data -- /run/central-dispatch/cd-acme\n" in text
    with pytest.raises(HostError):
        services.definition(Unit("x", ("a\nExecStartPre=+/bin/rm",), "u", "", ""))


def test_a_unit_that_systemd_starts_in_vain_is_said_so(passable: Path) -> None:
    for name in ("units", "state"):
        (passable / name).mkdir()
    program = passable / "systemctl"
    program.write_text('#!/bin/sh\ncase "$1" in is-active) exit 3;; status) echo "bad configuration";; esac\n')
    program.chmod(0o755)
    services = SystemdServices(PosixFiles(), "www-data", str(passable / "units"), (str(program),))
    with pytest.raises(HostError, match="does not stay up: bad configuration"):
        services.install(Unit("cd-a", ("/bin/true",), "nobody", "A", str(passable / "run")), "mark")


def test_systemd_is_told_of_each_change_and_a_packages_unit_is_foreign(passable: Path) -> None:
    for name in ("units", "state"):
        (passable / name).mkdir()
    stand_in = (sys.executable, servers.systemctl.__file__, str(passable / "state"), str(passable / "units"))
    services = SystemdServices(PosixFiles(), "www-data", str(passable / "units"), stand_in)
    assert services.mark_of("ssh") == ""
    services.install(Unit("cd-a", ("/bin/true",), "nobody", "A", ""), "mark")
    services.remove("cd-a")
    calls = [json.loads(line) for line in (passable / "state" / "calls").read_text().splitlines()]
    assert [words for words in calls if words[0] not in {"show", "is-active"}] == [
        ["daemon-reload"],
        ["enable", "--now", "cd-a.service"],
        ["disable", "--now", "cd-a.service"],
        ["daemon-reload"],
        ["reset-failed", "cd-a.service"],
    ]


def test_a_real_php_fpm_is_kept_found_again_and_ended(kept: Place) -> None:
    """It writes over its own environment and closes what it does not know: it must be found all the same."""
    program = find_php_fpm(DEBIAN) or find_php_fpm(RED_HAT)
    assert program, "PHP-FPM is missing: install php-fpm"
    runtime = kept.directory / "run" / "cdt-one"
    config = kept.directory / "fpm.conf"
    config.write_text(
        f"[global]\nerror_log = /dev/stderr\ndaemonize = no\n[www]\nlisten = {runtime}/php.sock\n"
        "listen.mode = 0660\npm = static\npm.max_children = 2\n"
    )
    unit = Unit("cdt-one", (program, "-F", "-y", str(config)), kept.user, "PHP", str(runtime))
    kept.make().install(unit, "mark")
    deadline = time.monotonic() + 20
    while len([one for one in proc.processes() if _is_of(one, kept)]) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    made = PosixFiles().find(f"{runtime}/php.sock")
    assert made
    assert (made.owner, made.group, made.mode) == (kept.user, "www-data", 0o660)
    (kept.directory / "services" / "cdt-one.pid").unlink()
    again = cast("KeptServices", kept.make())
    assert again.running("cdt-one")
    assert len(again._members("cdt-one")) == 3
    again.remove("cdt-one")
    assert not [one for one in proc.processes() if _is_of(one, kept)]
