"""A queue worker follows its assignment while it runs: no restart, and nothing that runs is disturbed."""

import json
import signal
from datetime import UTC, datetime
from typing import Any

from central_dispatch.jobs.assignment import Assignment
from central_dispatch.worker import process_tree
from queue_workers.rig import Rig, Worker, eventually


def assign(rig: Rig, slots: int, *queues: str) -> None:
    rig.store.put_assignment(Assignment(name="a", queues=queues, slots=slots), datetime.now(UTC))


def parent(rig: Rig) -> dict[str, Any]:
    [row] = rig.rows("SELECT * FROM job_parent")
    return row | {"queues": json.loads(row["queues"])}


def children(worker: Worker) -> int:
    """The processes that run jobs: two below the parent, as the fork server is in between."""
    by_parent = process_tree.snapshot()
    servers = [seen.pid for seen in by_parent.get(worker.process.pid, []) if seen.lives]
    return sum(seen.lives for server in servers for seen in by_parent.get(server, []))


def test_more_slots_start_more_jobs_and_fewer_let_the_running_ones_end(rig: Rig) -> None:
    assign(rig, 1)
    worker = rig.start(assignment="a")
    jobs = rig.enqueue("finishing", 3)
    eventually(lambda: rig.states().get("running") == 1)
    assign(rig, 3)
    rig.until_running(jobs)
    eventually(lambda: children(worker) == 3)
    assert parent(rig)["slots"] == 3
    assign(rig, 1)
    eventually(lambda: parent(rig)["slots"] == 1)
    more = rig.enqueue("no-op", 5)
    assert rig.states() == {"running": 3, "waiting": 5}
    for job in jobs:
        rig.interrupt(job)
    for job in more:
        rig.until_state(job, "finished")
    eventually(lambda: children(worker) == 1, "one child is left")
    assert [rig.job(job)["state"] for job in jobs] == ["finished"] * 3
    assert [row["outcome"] for row in rig.rows("SELECT outcome FROM job_attempt")] == ["done"] * 8
    assert worker.process.poll() is None


def test_a_queue_that_is_taken_away_is_served_no_more_and_its_running_job_ends_normally(rig: Rig) -> None:
    assign(rig, 4, "finishing", "no-op")
    worker = rig.start(assignment="a")
    [running] = rig.enqueue("finishing")
    rig.until_running([running])
    assign(rig, 4, "report")
    eventually(lambda: parent(rig)["queues"] == ["report"])
    [left] = rig.enqueue("no-op")
    [new] = rig.enqueue("report")
    rig.until_state(new, "finished")
    assert (rig.job(left)["state"], rig.job(running)["state"]) == ("waiting", "running")
    rig.interrupt(running)
    assert rig.until_state(running, "finished", "interrupted")["state"] == "finished"
    assign(rig, 4)
    rig.until_state(left, "finished")
    assert parent(rig)["pid"] == worker.process.pid


def test_the_time_limit_of_a_queue_that_is_taken_away_still_follows_its_settings(rig: Rig) -> None:
    assign(rig, 1, "sleep")
    rig.start(assignment="a")
    [job] = rig.enqueue("sleep", seconds=600)
    rig.until_running([job])
    assign(rig, 1, "no-op")
    eventually(lambda: parent(rig)["queues"] == ["no-op"])
    rig.store.change_settings("sleep", {"time_limit_s": 1, "grace_s": 0, "max_attempts": 1})
    assert "time limit" in rig.until_state(job, "in_error")["error"]


def test_a_worker_that_is_told_to_end_while_its_assignment_shrinks_ends(rig: Rig) -> None:
    assign(rig, 6)
    worker = rig.start(assignment="a")
    rig.until_running(rig.enqueue("patient", 6, seconds=600))
    assign(rig, 1)
    eventually(lambda: parent(rig)["slots"] == 1)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert rig.states() == {"waiting": 6}


def test_a_worker_without_its_assignment_says_which_and_ends(rig: Rig) -> None:
    worker = rig.start(assignment="b")
    worker.ended()
    assert "There is no assignment “b”" in worker.log.read_text(encoding="utf-8")
