"""A dispatcher's real home, for queue workers whose handlers use the portal's tables; and batches harmed there."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random

from central_dispatch.jobs.job import NewJob
from central_dispatch.worker import process_tree
from queue_workers.rig import Rig, Worker, eventually

PREPARE = "central_dispatch.portal.setup:prepare_django"


@cache
def _first_home() -> Path:
    """Make a dispatcher's directory once, by the portal's own first start in a process of its own."""
    home = Path(tempfile.mkdtemp(prefix="portal-rig-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    script = "from central_dispatch.portal.first_start import first_start; first_start()"
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run([sys.executable, "-c", script], env=environment | {"CENTRAL_DISPATCH_HOME": str(home)}, check=True)
    return home / "dispatcher"


class PortalRig(Rig):
    """`home` is empty; it becomes a dispatcher's, with its migrated database."""

    def __init__(self, home: Path) -> None:
        directory = home / "dispatcher"
        shutil.copytree(_first_home(), directory)
        super().__init__(directory, environment={"CENTRAL_DISPATCH_HOME": str(home)}, prepare=(PREPARE,))

    def make_tables(self) -> None:
        """Do nothing: they are there."""


@dataclass(frozen=True)
class Splitting:
    """How a message was split while processes were killed."""

    children: int
    killed: dict[str, int]  # "child" and "parent": how often
    executions: int
    doubled: int
    missing: int

    @property
    def exact(self) -> bool:
        return self.doubled == self.missing == 0


def split_under_fire(rig: Rig, children: int, kills: int, random: Random) -> Splitting:
    """Have a message split into so many jobs, and kill the child or the parent at random moments meanwhile."""
    job = message(rig, children)
    worker = rig.start("main-queue", slots=1)
    killed = {"child": 0, "parent": 0}
    for _ in range(kills):
        # Somewhere in what is left, so that all kills find something to interrupt.
        done = made(rig)
        aim = done + random.randrange(1, max(2, (children - done) // 3))
        eventually(lambda aim=aim: made(rig) >= aim or rig.job(job)["state"] == "finished", "the next moment")  # type: ignore[misc] # bound at once
        if rig.job(job)["state"] == "finished":
            break
        time.sleep(random.random() * 0.03)
        if random.random() < 0.5:
            killed["child"] += _kill_child(worker)
        else:
            worker.signal(signal.SIGKILL)
            worker.ended()
            killed["parent"] += 1
            worker = rig.start("main-queue", slots=1)
    rig.until_state(job, "finished", "in_error")
    indexes = [row["n"] for row in rig.rows("SELECT batch_index AS n FROM job WHERE queue = 'no-op'")]
    return Splitting(
        children=len(indexes),
        killed=killed,
        executions=len(rig.attempts(job)),
        doubled=len(indexes) - len(set(indexes)),
        missing=len(set(range(children)) - set(indexes)),
    )


def message(rig: Rig, children: int) -> int:
    """Enqueue a message that is to become so many jobs, which nobody works on; returns its job."""
    payload = {"kind": "no-op", "name": "number", "numbers": f"1-{children}", "shared": {"databox": 1, "x": "y" * 40}}
    (job,) = rig.store.enqueue([NewJob(kind="main-queue", payload=payload)], datetime.now(UTC))
    rig.broker.ring(["main-queue"])
    assert job is not None
    return job


def made(rig: Rig) -> int:
    """Return how many jobs the message was split into so far."""
    found = rig.rows("SELECT max(batch_index) AS last FROM job WHERE batch = 1")[0]["last"]
    return 0 if found is None else int(found) + 1


def _kill_child(worker: Worker) -> int:
    servers = process_tree.snapshot().get(worker.process.pid, [])
    children = [seen for server in servers for seen in process_tree.snapshot().get(server.pid, []) if seen.lives]
    for child in children:
        process_tree.send(child.pid, signal.SIGKILL)
    return len(children)
