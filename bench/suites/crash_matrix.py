"""Kill -9 of the host worker before and after every journal line and every side effect of a deployment.

At each point: deploy in a process that kills itself there, restart the host worker, wait until its journal
has ended, and compare the host's fingerprint (file tree with modes and owners, databases, grants, users,
crontabs, virtual hosts, processes) with the one before. Four conditions at the restart: all is well, Apache's
configuration broken, MariaDB stopped, the dispatcher away. A neighbour instance must answer throughout.

    bench/crash_matrix [--quick] [--source sample|wordpress] [--condition NAME …] [--out FILE]

The last line is JSON: points, forward, backed_out, residue, stuck.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from central_dispatch.host import identity, worker
from central_dispatch.host.identity import Identity
from central_dispatch.host.journal_file import read
from central_dispatch.host.planner import Planned
from central_dispatch.host.settings import Home
from central_dispatch.platforms import sandbox as sandboxes
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.platforms.sandbox.server import free_ports
from central_dispatch.provisioning.journal import RunState, replay
from central_dispatch.provisioning.saga import Saga
from central_dispatch.provisioning.spec import InstanceSpec
from servers.fingerprint import difference, fingerprint
from servers.host_rig import WORDPRESS, HostRig, add_source
from servers.killing import Killer, KillingJournal, killing_host
from servers.scripted_dispatcher import Dispatcher, over_https

CONDITIONS = ("well", "apache_broken", "mariadb_stopped", "dispatcher_away")
PATIENCE_S = 90.0
#: Apache's first process has done what it was told when it used no processor for so long, in seconds.
SETTLED_S = 0.3


@dataclass
class Figures:
    """What the matrix found."""

    points: int = 0
    forward: int = 0
    backed_out: int = 0
    never_begun: int = 0
    residue: int = 0
    stuck: int = 0
    neighbour_failures: int = 0
    by_condition: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def in_child(act: Callable[[], None]) -> int:
    """Run `act` in a child process; return how it ended, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with suppress(BaseException):
            try:
                act()
                code = 0
            except BaseException:
                traceback.print_exc()
                raise
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def deploy_and_die(box: Sandbox, spec: InstanceSpec, at: int, counted: Path) -> None:
    """Deploy as the host worker does, and be killed at point `at` (0: count the points)."""
    rig, killer = HostRig(box), Killer(at)
    rig.host = killing_host(rig.host, killer)
    run, planned = rig.plan("deploy", spec)
    assert isinstance(planned, Planned), planned
    rig.vault.make(spec.id, planned.secrets)
    killer.point("before line begin")
    journal = rig.journal(run, planned)
    killer.point("after line begin")
    standing = Saga(rig.host, KillingJournal(journal, killer)).carry_on()
    assert standing == "committed", standing
    counted.write_text(json.dumps(killer.names))


def states(box: Sandbox) -> dict[Path, RunState]:
    """Return what each journal adds up to."""
    found = {path: replay(read(path)) for path in sorted((box.state_directory / "journal").glob("*.jsonl"))}
    return {path: state for path, state in found.items() if state}


class Matrix:
    """One sandbox, one neighbour, many deaths."""

    def __init__(self, box: Sandbox, source: str) -> None:
        self.box, self.source = box, source
        self.release = "1.0.0" if source == "sample" else "6.1.9"
        self.rig = HostRig(box)
        self.neighbour = self.rig.spec("neighbour")
        assert self.rig.deploy(self.neighbour) == "committed"
        self.clean = self.fingerprint()
        self.figures = Figures()
        self.home = self.rig.home()
        self.dispatcher, self.here = dispatcher_process(box.directory / "state" / "dispatcher")
        self.away = replace(self.here, url=f"https://127.0.0.1:{free_ports(1)[0]}")

    def fingerprint(self) -> list[str]:
        """Return the host as it is now."""
        return fingerprint(self.box, token=self.rig.token)

    def points(self) -> list[str]:
        """Count the points of one deployment that lives."""
        counted = Path(tempfile.mkstemp()[1])
        spec = self.rig.spec("victim", self.source, self.release)
        assert in_child(lambda: deploy_and_die(self.box, spec, 0, counted)) == 0
        assert self.rig.delete(spec) == "committed"
        self.tidy()
        return json.loads(counted.read_text())

    def one(self, condition: str, at: int, name: str) -> None:
        """Die at one point under one condition, restart, and compare."""
        spec = self.rig.spec("victim", self.source, self.release)
        ended = in_child(lambda: deploy_and_die(self.box, spec, at, Path(os.devnull)))
        assert ended == -signal.SIGKILL, ended
        self.figures.points += 1
        self.figures.by_condition[condition] = self.figures.by_condition.get(condition, 0) + 1
        self.restart(condition)
        self.judge(condition, at, name, spec)

    def let_apache_settle(self) -> None:
        """Wait until Apache has read what the dead worker's last reload told it to read.

        A server that finds a broken tree in the midst of a reload ends: true of any Apache, and not what is asked here.
        """
        pid = Path(self.box.layout.pid_file).read_text(encoding="ascii").strip()
        spent, since = "", time.monotonic()
        while time.monotonic() - since < SETTLED_S:
            now = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
            if (seen := " ".join(now)) != spent:
                spent, since = seen, time.monotonic()
            time.sleep(0.02)

    def restart(self, condition: str) -> None:
        """Have a new host worker process recover, with something broken."""
        broken = self.box.directory / "apache" / "sites-enabled" / "zz-broken.conf"
        if condition == "apache_broken":
            self.let_apache_settle()
            broken.write_text("NoSuchDirective on\n")
        if condition == "mariadb_stopped":
            self.box.mariadb.stop()
        identity.save(self.box.state_directory, self.away if condition == "dispatcher_away" else self.here)
        recovering = HostProcess(self.home)
        if condition == "mariadb_stopped":
            wait_until(lambda: self.over() or self.waits())
            self.box.mariadb.start()
        wait_until(self.over)
        recovering.stop()
        broken.unlink(missing_ok=True)
        self.rig.host.web.make_up()

    def over(self) -> bool:
        """Say whether every journal has ended or is stuck."""
        return all(state.ended or state.stuck for state in states(self.box).values())

    def waits(self) -> bool:
        """Say whether a journal waits for a server."""
        return any(
            entry.kind == "waiting"
            for path in (self.box.state_directory / "journal").glob("*.jsonl")
            for entry in read(path)[-1:]
        )

    def judge(self, condition: str, at: int, name: str, spec: InstanceSpec) -> None:
        """Count how it ended and compare the host with what it was."""
        figures, where = self.figures, f"{condition}, point {at} ({name})"
        ended = [state for state in states(self.box).values() if state.plan.instance == spec.id]
        if not ended:
            figures.never_begun += 1
        elif ended[0].ended == "committed":
            figures.forward += 1
            status, _ = self.rig.get(spec.hostnames[0], "/")
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                figures.failures.append(f"{where}: committed, but answers {status}")
                figures.residue += 1
            assert self.rig.delete(spec) == "committed"
        elif ended[0].ended == "backed_out":
            figures.backed_out += 1
        else:
            figures.stuck += 1
            figures.failures.append(f"{where}: {ended[0].stuck or 'did not end'}")
        left = difference(self.clean, self.fingerprint())
        if left:
            figures.residue += 1
            figures.failures.append(f"{where}: {left}")
        if self.rig.get(self.neighbour.hostnames[0], "/healthz")[0] != HTTPStatus.OK:
            figures.neighbour_failures += 1
        self.tidy()

    def tidy(self) -> None:
        """Forget ended journals and archives, which are meant to stay on a real host."""
        for path in (self.box.state_directory / "journal").glob("*.jsonl"):
            path.unlink()
        for archive in (self.box.directory / "archives").iterdir():
            self.rig.host.files.remove(str(archive))


class HostProcess:
    """A real host worker, started as its service is, in a process of its own."""

    def __init__(self, home: Home) -> None:
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            with suppress(BaseException):
                code = worker.run(home).code
            os._exit(code)

    def stop(self) -> None:
        """Have it end as the service manager does."""
        os.kill(self._pid, signal.SIGTERM)
        os.waitpid(self._pid, 0)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait, up to PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def dispatcher_process(place: Path) -> tuple[int, Identity]:
    """Start a scripted dispatcher over HTTPS; return its process and the host's identity there."""
    place.mkdir()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        # A host worker that ends in the middle of a request is the very thing that is tried here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with suppress(BaseException), over_https(Dispatcher(), place) as found:
            os.write(writing, json.dumps(found).encode())
            signal.pause()
        os._exit(0)
    os.close(writing)
    url, pin = json.loads(os.read(reading, 4096))
    os.close(reading)
    return pid, Identity(url, pin, "f" * 32, "rig", "none", "credential")


def chosen(total: int, condition: str, *, quick: bool) -> list[int]:
    """Return which points to die at: all of them, or an even sample."""
    if not quick:
        return list(range(1, total + 1))
    step = 17 if condition == "well" else 56
    return list(range(1, total + 1, step))


def main() -> int:
    """Run the matrix and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="an even sample of the points, within 50 s")
    parser.add_argument("--source", choices=("sample", "wordpress"), default="sample")
    parser.add_argument("--condition", action="append", choices=CONDITIONS)
    parser.add_argument("--out", type=Path, help="also write the figures with all failures to this file")
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("crash_matrix: run it as root: it makes and removes real Unix users")
    with tempfile.TemporaryDirectory(prefix="cd-crash-") as place:
        Path(place).chmod(0o711)
        box = sandboxes.create(f"{place}/box")
        try:
            box.start()
            figures = run(box, given)
        finally:
            box.stop()
    if given.out:
        given.out.write_text(json.dumps(asdict(figures), indent=1) + "\n")
    for failure in figures.failures[:20]:
        print("FAILURE", failure)
    told = {key: value for key, value in asdict(figures).items() if key != "failures"}
    print(json.dumps(told))
    return 1 if figures.residue or figures.stuck or figures.neighbour_failures else 0


def run(box: Sandbox, given: argparse.Namespace) -> Figures:
    """Go through all conditions and points."""
    add_source(box, "sample")
    if given.source == "wordpress":
        add_source(box, "wordpress", "6.1.9", WORDPRESS)
    matrix = Matrix(box, given.source)
    try:
        names = matrix.points()
        print(f"{len(names)} points: {dict(Counter(name.split()[-1] for name in names).most_common())}")
        for condition in given.condition or CONDITIONS:
            started = time.monotonic()
            for at in chosen(len(names), condition, quick=given.quick):
                matrix.one(condition, at, names[at - 1])
            done, took = matrix.figures.by_condition.get(condition, 0), time.monotonic() - started
            print(f"{condition}: {done} points in {took:.0f} s", flush=True)
    finally:
        os.kill(matrix.dispatcher, signal.SIGKILL)
        os.waitpid(matrix.dispatcher, 0)
        matrix.rig.delete(matrix.neighbour)
    return matrix.figures


if __name__ == "__main__":
    sys.exit(main())
