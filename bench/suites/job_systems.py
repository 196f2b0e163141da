"""The systems that `bench/jobs` compares: for each its worker, its producer and its tally, as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from peers import ROOT, peers

sys.path.insert(0, str(ROOT / "tests"))

from queue_workers.portal_rig import PortalRig
from queue_workers.rig import Rig

APPS = ROOT / "bench" / "peers" / "jobs"
SLOTS = 10
_PATIENCE_S = 60.0


@dataclass
class System:
    """One system. `worker` and `producer` are argument lists; `environment` is beside the machine's own."""

    name: str
    directory: Path
    worker: list[str]
    producer: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    def launch(self) -> None:
        """Start both."""
        self.tally = self.directory / "tally"
        self.tally.touch()
        given = {**os.environ, "TALLY": str(self.tally), "PYTHONPATH": str(APPS), **self.environment}
        self._worker = self._start_worker(given)
        errors = (self.directory / "producer.log").open("wb")
        self._producer = subprocess.Popen(
            self.producer, cwd=self.directory, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True, text=True,
        )  # fmt: skip

    def warm(self) -> None:
        """Wait until the worker has run jobs."""
        self._expect("ready")
        self.rate("no-op", SLOTS)

    def _start_worker(self, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        with (self.directory / "worker.log").open("wb") as log:
            return subprocess.Popen(
                self.worker, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def rate(self, kind: str, count: int, how: str = "burst") -> float:
        """Enqueue so many and wait until all have run; returns jobs per second, from before the first enqueue."""
        before = self._counted()
        begun, _ended = self._ask(how, kind, count)
        deadline = time.monotonic() + _PATIENCE_S
        while self._counted() < before + count or not self.is_settled():
            if time.monotonic() > deadline or self._worker.poll() is not None:
                raise SystemExit(f"jobs: {self.name} ran {self._counted() - before} of {count}\n{self._log()}")
            time.sleep(0.002)
        return count / (time.time() - begun)

    def enqueue_ms(self, count: int) -> float:
        """Return what one enqueue takes on its own, in milliseconds: the median of so many."""
        before = self._counted()
        found = self._ask("singly", "no-op", count)
        while self._counted() < before + count:
            time.sleep(0.01)
        return median(found) * 1000

    def is_settled(self) -> bool:
        """Say whether what has run is settled, too. Peers: the last acknowledgements are left out of their time."""
        return True

    def stop(self) -> None:
        """End both; the worker in order, so that it ends its own processes."""
        self._producer.stdin.close()
        self._producer.wait(20)
        self._worker.send_signal(signal.SIGTERM)
        try:
            self._worker.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._worker.pid, signal.SIGKILL)
            self._worker.wait()

    def _ask(self, what: str, kind: str, count: int) -> list[float]:
        self._producer.stdin.write(f"{what} {kind} {count}\n")
        self._producer.stdin.flush()
        return json.loads(self._expect(""))

    def _expect(self, what: str) -> str:
        line = self._producer.stdout.readline().strip()
        if not line or (what and line != what):
            raise SystemExit(f"jobs: the producer of {self.name} failed\n{self._log()}")
        return line

    def _counted(self) -> int:
        return self.tally.stat().st_size

    def _log(self) -> str:
        names = ("worker.log", "producer.log")
        return "\n".join((self.directory / name).read_text(errors="replace")[-2000:] for name in names)


def celery(directory: Path, amqp: str, results: str = "") -> System:
    """Celery, with results in a database if one is given (`db+…`)."""
    name = "celery_sql" if results else "celery"
    environment = {"AMQP": amqp, "QUEUE": name, **({"RESULTS": results} if results else {})}
    options = [
        "-n",
        f"{name}@bench",
        "-c",
        str(SLOTS),
        "-l",
        "WARNING",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    worker = [str(peers() / "celery"), "-A", "celery_app", "worker", *options]
    return System(name, directory, worker, _producer("celery_app"), environment)


def dramatiq(directory: Path, amqp: str) -> System:
    """Dramatiq: ten threads in two processes, one for each processor, which is faster here than ten processes."""
    worker = [str(peers() / "dramatiq"), "dramatiq_app", "--processes", "2", "--threads", str(SLOTS // 2)]
    return System("dramatiq", directory, worker, _producer("dramatiq_app"), {"AMQP": amqp, "QUEUE": "dramatiq"})


def huey(directory: Path) -> System:
    """Huey. A thread looks every 5 ms: by default an idle one looks ever less, every ten seconds in the end."""
    options = ["-w", str(SLOTS), "-k", "thread", "-q", "-d", "0.005", "-m", "0.005"]
    worker = [str(peers() / "huey_consumer"), "huey_app.huey", *options]
    return System("huey", directory, worker, _producer("huey_app"), {"HUEY": str(directory / "huey.db")})


def amqp_limit(directory: Path, amqp: str) -> System:
    """Bare AMQP."""
    worker = [sys.executable, str(APPS / "amqp_app.py")]
    producer = [sys.executable, str(APPS / "produce.py"), "amqp_app"]
    return System("amqp_limit", directory, worker, producer, {"AMQP": amqp, "QUEUE": "bare"})


def service_enqueue_ms(home: Path, count: int) -> float:
    """Return what one enqueue takes in a service of the portal, on a home of its own: the median, in milliseconds."""
    home.mkdir(mode=0o700)
    rig = PortalRig(home)
    try:
        done = subprocess.run(
            [sys.executable, str(APPS / "produce.py"), "service_app"],
            env={**os.environ, **rig.environment, "PYTHONPATH": str(APPS)},
            input=f"singly no-op {count}\n", capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        rig.close()
    if done.returncode:
        raise SystemExit(f"jobs: the service failed\n{done.stderr[-2000:]}")
    return median(json.loads(done.stdout.splitlines()[-1])) * 1000


def _producer(app: str) -> list[str]:
    return [str(peers() / "python"), str(APPS / "produce.py"), app]


@dataclass
class Ours(System):
    """This engine, with its full history: a job counts when its row is settled, not when it has run."""

    rig: Rig | None = None

    def is_settled(self) -> bool:
        """Say whether no row is open."""
        return not self.rig.rows("SELECT 1 FROM job WHERE state IN ('waiting', 'running') LIMIT 1")

    def _start_worker(self, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        self.rig.environment["TALLY"] = environment["TALLY"]
        worker = self.rig.start("tally", slots=SLOTS)
        worker.log.rename(self.directory / "worker.log")
        return worker.process

    def stop(self) -> None:
        """End both, and see that nothing of them is left."""
        super().stop()
        self.rig.close()


def ours(name: str, rig: Rig) -> Ours:
    """Return this engine on a rig's store and broker."""
    environment = {"RIG": str(rig.directory), "PYTHONPATH": f"{APPS}:{ROOT / 'tests'}"}
    return Ours(name, rig.directory, [], [sys.executable, str(APPS / "produce.py"), "our_app"], environment, rig)
