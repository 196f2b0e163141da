"""What a person sees of jobs at work: their output and progress as they run, their locks, their batches."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from queue_workers.portal_rig import PortalRig, message
from queue_workers.rig import PATIENCE_S, eventually


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[PortalRig]:
    made = PortalRig(tmp_path)
    try:
        yield made
    finally:
        made.close()


def command(portal: PortalRig, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "central_dispatch", "--home", str(portal.directory.parent), *arguments]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


def call(portal: PortalRig, *arguments: str, code: int = 0) -> Any:
    done = subprocess.run(
        command(portal, *arguments, "--json"), capture_output=True, text=True, check=False, env=environment()
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


class Tail:
    """`job tail --follow`, read line by line as it comes."""

    def __init__(self, portal: PortalRig, job: int) -> None:
        arguments = command(portal, "job", "tail", str(job), "--follow", "--json")
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment())
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def output(self) -> str:
        return "".join(event["text"] for event in list(self.events) if event["event"] == "output")

    def states(self) -> list[str]:
        return [event["state"] for event in list(self.events) if event["event"] == "state"]

    def ended(self) -> int:
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._thread.join(PATIENCE_S)
        assert self.process.stdout
        self.process.stdout.close()
        return code


def test_a_tail_shows_each_line_while_the_job_runs_and_through_its_retry_to_the_end(portal: PortalRig) -> None:
    gates = [portal.directory / "one", portal.directory / "two"]
    (job,) = portal.enqueue("talk", gates=[str(gate) for gate in gates], fails=1)
    tail = Tail(portal, job)
    eventually(lambda: tail.states() == ["waiting"], "it says that the job waits")
    portal.start("talk", slots=1)
    eventually(lambda: "attempt 1, line 0\n" in tail.output(), "the first line")
    assert "line 1" not in tail.output()
    # What was printed so far can be seen by everybody else, too.
    assert call(portal, "job", "show", str(job))["output"] == "attempt 1, line 0\n"
    gates[0].touch()
    eventually(lambda: "attempt 1, line 1\n" in tail.output(), "the second line")
    eventually(lambda: [e for e in list(tail.events) if e["event"] == "progress" and e["percent"] == 10], "progress")
    gates[1].touch()
    assert tail.ended() == 0
    assert tail.output() == "".join(f"attempt {attempt}, line {line}\n" for attempt in (1, 2) for line in (0, 1))
    assert tail.states()[0] == "waiting"
    assert tail.states()[-1] == "finished"


def test_a_tail_that_is_left_leaves_the_job_alone_and_one_of_a_failed_job_says_so(portal: PortalRig) -> None:
    gate = portal.directory / "gate"
    (job,) = portal.enqueue("talk", gates=[str(gate)], fails=99)
    portal.start("talk", slots=1)
    tail = Tail(portal, job)
    eventually(lambda: "line 0" in tail.output(), "it runs")
    tail.process.send_signal(signal.SIGINT)
    assert tail.ended() == 130
    assert portal.job(job)["state"] == "running"
    gate.touch()
    portal.until_state(job, "in_error")
    assert Tail(portal, job).ended() == 4


def test_a_worker_that_is_killed_leaves_what_its_job_had_printed(portal: PortalRig) -> None:
    (job,) = portal.enqueue("talk", gates=[str(portal.directory / "never")])
    worker = portal.start("talk", slots=1)
    eventually(lambda: "line 0" in call(portal, "job", "show", str(job))["output"], "its output is kept")
    worker.signal(signal.SIGKILL)
    worker.ended()
    portal.interrupt(job)
    portal.start("talk", slots=1)
    portal.until_state(job, "interrupted")
    assert "attempt 1, line 0" in call(portal, "job", "show", str(job))["history"][0]["output"]


def test_locks_are_listed_with_their_holder_and_who_waits(portal: PortalRig) -> None:
    assert call(portal, "job", "locks") == []
    log = str(portal.directory / "log")
    (holder,) = portal.enqueue("locking", alone=["record:1:2"], log=log, seconds=600)
    worker = portal.start("locking", slots=2)
    eventually(Path(log).exists, "it is locked")
    (waiting,) = portal.enqueue("locking", alone=["record:1:2"], log=log)
    eventually(lambda: portal.job(waiting)["deferrals"] == 1, "another waits for it")
    [found] = call(portal, "job", "locks", "--resource", "record:1:2")
    assert (found["job"], found["mode"], found["waiting"]) == (holder, "alone", [waiting])
    assert found["worker"].endswith(f":{worker.process.pid}")
    assert f"locked by job {holder}" in call(portal, "job", "show", str(waiting))["error"]


def test_a_batch_is_shown_and_ended_as_a_whole(portal: PortalRig) -> None:
    portal.start("main-queue", slots=1)
    job = message(portal, 40)
    portal.until_state(job, "finished")
    [batch] = call(portal, "batch", "list")
    assert (batch["expected"], batch["made"], batch["waiting"], batch["percent"]) == (40, 40, 40, 0.0)
    assert call(portal, "batch", "cancel", str(batch["id"]), "--why", "a test")["jobs"] == 40
    assert call(portal, "batch", "show", str(batch["id"]))["interrupted"] == 40
    assert call(portal, "batch", "retry-failed", str(batch["id"]))["jobs"] == 0
    assert call(portal, "batch", "retry-failed", str(batch["id"]), "--interrupted")["jobs"] == 40
    assert call(portal, "batch", "interrupt", str(batch["id"]))["jobs"] == 40
    assert "batch list" in call(portal, "batch", "show", "99", code=3)["error"]["problems"][0]["mend"]
