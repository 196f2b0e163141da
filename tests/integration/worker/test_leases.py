"""A parent that does not beat loses its rows; one that comes back settles nothing and leaves no child."""

import signal
import sqlite3
import time
from datetime import UTC, datetime

from central_dispatch.jobs.job import NewJob
from central_dispatch.worker import process_tree
from queue_workers.rig import Rig, eventually, lives

#: The engine's times, shortened together.
QUICK = {"beat_s": 0.2, "lease_s": 2.0, "stopped_s": 60.0, "look_s": 0.2, "interrupts_s": 0.05}


def _children(parent: int) -> list[int]:
    return [seen.pid for seen in process_tree.below(parent, process_tree.snapshot()) if seen.lives]


def test_a_parent_stopped_past_its_lease_settles_nothing_and_leaves_no_child(rig: Rig) -> None:
    log = rig.directory / "executions"
    stopped = rig.start("sleep", slots=1, timing=QUICK)
    [job] = rig.enqueue("sleep", seconds=6, log=str(log))
    rig.until_running([job])
    eventually(log.exists, "the first execution")
    first_child = int(log.read_text(encoding="ascii").split()[2])
    stopped.signal(signal.SIGSTOP)
    rig.start("sleep", slots=1, timing=QUICK)
    eventually(lambda: len(log.read_text(encoding="ascii").splitlines()) == 2, "the second execution")
    assert lives(first_child)
    stopped.signal(signal.SIGCONT)
    eventually(lambda: not lives(first_child), "its child is ended")
    found = rig.until_state(job, "finished")
    fences = [attempt["fence"] for attempt in rig.attempts(job)]
    assert f'"fence":{fences[-1]}' in found["result"].replace(" ", "")
    assert [attempt["outcome"] for attempt in rig.attempts(job)] == ["crashed", "done"]
    assert "taken back" in stopped.log.read_text(encoding="utf-8")
    # It goes on as a new parent.
    eventually(
        lambda: rig.rows("SELECT id FROM job_parent WHERE pid = ?", stopped.process.pid), "it is registered again"
    )
    rig.workers[1].signal(signal.SIGTERM)
    rig.workers[1].ended()
    [again] = rig.enqueue("sleep", seconds=0)
    rig.until_state(again, "finished")


def test_the_children_of_a_stopped_parent_are_ended_before_its_lease_is(rig: Rig) -> None:
    """So that no second execution runs beside the first."""
    log = rig.directory / "executions"
    worker = rig.start("sleep", slots=1, timing={**QUICK, "stopped_s": 0.5})
    [job] = rig.enqueue("sleep", seconds=600, log=str(log))
    eventually(log.exists, "the execution")
    child = int(log.read_text(encoding="ascii").split()[2])
    worker.signal(signal.SIGSTOP)
    eventually(lambda: not lives(child), "the fork server ended it")
    assert rig.job(job)["state"] == "running"
    worker.signal(signal.SIGCONT)
    eventually(lambda: len(log.read_text(encoding="ascii").splitlines()) == 2, "it runs again")
    assert rig.job(job)["attempts"] == 0, "nobody's fault"


def test_a_database_locked_for_seconds_burns_nothing(rig: Rig) -> None:
    worker = rig.start("sleep", slots=3, timing=QUICK)
    rig.start("no-op", timing=QUICK)
    jobs = rig.enqueue("sleep", 3, seconds=1)
    rig.until_running(jobs)
    eventually(lambda: len(_children(worker.process.pid)) == 4, "the fork server and three children")
    before = _children(worker.process.pid)
    # Past the gate, as a foreign program would do it; longer than a call of the store waits, and than the lease.
    blocker = sqlite3.connect(rig.directory / "dispatch.sqlite3", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    eventually(lambda: "the database is away" in worker.log.read_text(encoding="utf-8"), "it noticed")
    assert _children(worker.process.pid) == before
    blocker.execute("COMMIT")
    blocker.close()
    for job in jobs:
        rig.until_state(job, "finished")
        assert [attempt["outcome"] for attempt in rig.attempts(job)] == ["done"]


def test_a_lost_bell_costs_a_look(rig: Rig) -> None:
    rig.start("no-op")
    eventually(lambda: rig.rows("SELECT * FROM job_parent"), "it is there")
    [job] = rig.store.enqueue([NewJob(kind="no-op", payload={})], datetime.now(UTC))
    assert job is not None
    rig.until_state(job, "finished")


def test_settings_change_what_waits_while_the_worker_runs(rig: Rig) -> None:
    rig.store.change_settings("no-op", {"paused": True})
    rig.start("no-op", "measure")
    jobs = rig.enqueue("no-op", 3)
    [other] = rig.enqueue("measure", at=time.time())
    rig.until_state(other, "finished")
    assert rig.states() == {"waiting": 3, "finished": 1}
    rig.store.change_settings("no-op", {"paused": False})
    for job in jobs:
        rig.until_state(job, "finished")


def test_a_concurrency_limit_holds_over_two_workers_and_all_is_done(rig: Rig) -> None:
    rig.store.change_settings("sleep", {"concurrency": 2})
    log = rig.directory / "executions"
    for _ in range(2):
        rig.start("sleep", slots=4)
    rig.enqueue("sleep", 8, seconds=0.2, log=str(log))
    most = 0
    while rig.states().get("finished", 0) < 8:
        most = max(most, rig.states().get("running", 0))
    assert most == 2


def test_no_queue_starves_behind_a_full_one(rig: Rig) -> None:
    rig.enqueue("sleep", 60, seconds=0.05)
    others = rig.enqueue("no-op", 3)
    worker = rig.start("sleep", "no-op", slots=2)
    for job in others:
        rig.until_state(job, "finished")
    assert rig.states().get("waiting", 0) > 0
    worker.signal(signal.SIGTERM)
    worker.ended()


def test_a_scheduled_kind_runs_once_a_period_with_two_workers(rig: Rig) -> None:
    rig.store.change_settings("no-op", {"period_s": 3600})
    for _ in range(2):
        rig.run_empty("no-op")
    assert rig.states() == {"finished": 1}
