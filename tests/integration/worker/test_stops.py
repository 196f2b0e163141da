"""Running jobs are ended from outside: asked, terminated, killed with all below them; the state says what was."""

import signal
from pathlib import Path

import pytest

from central_dispatch.worker import process_tree
from queue_workers.rig import Rig, eventually, lives


def _below(worker_pid: int) -> list[int]:
    by_parent = process_tree.snapshot()
    return [seen.pid for seen in process_tree.below(worker_pid, by_parent) if seen.lives]


def test_an_interrupt_ends_a_tree_that_ignores_sigterm_and_spares_its_neighbour(rig: Rig) -> None:
    worker = rig.start("tree", "sleep", slots=2)
    ready = rig.directory / "ready"
    [job] = rig.enqueue("tree", ready=str(ready))
    [neighbour] = rig.enqueue("sleep", seconds=3)
    rig.until_running([job, neighbour])
    eventually(ready.exists, "the tree stands")
    eventually(lambda: len(_below(worker.process.pid)) >= 8, "its shells have started theirs")
    rig.interrupt(job)
    found = rig.until_state(job, "interrupted")
    assert found["ended_by"] == "anna"
    assert "killed with its whole process tree" in found["error"]
    assert found["attempts"] == 0
    sleeping = [row for row in rig.marked() if row != worker.process.pid]
    assert len(sleeping) <= 3, "fork server and two children"
    assert rig.until_state(neighbour, "finished")["attempts"] == 1


def test_a_handler_that_heeds_the_wish_ends_as_interrupted_without_being_killed(rig: Rig) -> None:
    rig.store.change_settings("patient", {"grace_s": 3600})  # no signal comes before it has seen the wish
    rig.start("patient")
    [job] = rig.enqueue("patient", seconds=60)
    rig.until_running([job])
    rig.interrupt(job)
    assert "ended by itself" in rig.until_state(job, "interrupted")["error"]


def test_work_that_gets_done_in_the_grace_time_is_finished_not_interrupted(rig: Rig) -> None:
    rig.store.change_settings("finishing", {"grace_s": 3600})  # likewise
    rig.start("finishing")
    [job] = rig.enqueue("finishing")
    rig.until_running([job])
    rig.interrupt(job)
    assert "in the grace time" in rig.until_state(job, "finished", "interrupted")["result"]


def test_a_job_beyond_its_time_limit_is_ended_and_counts_an_attempt(rig: Rig) -> None:
    rig.store.change_settings("sleep", {"time_limit_s": 1, "grace_s": 0.2, "max_attempts": 1})
    rig.start("sleep")
    [job] = rig.enqueue("sleep", seconds=60)
    found = rig.until_state(job, "in_error")
    assert "ran longer than the time limit of 1 s" in found["error"]
    assert (found["attempts"], rig.attempts(job)[0]["outcome"]) == (1, "crashed")


def test_a_time_limit_that_is_lowered_holds_for_what_runs_already(rig: Rig) -> None:
    rig.start("sleep")
    [job] = rig.enqueue("sleep", seconds=60)
    rig.until_running([job])
    rig.store.change_settings("sleep", {"time_limit_s": 1, "grace_s": 0, "max_attempts": 1})
    assert "time limit" in rig.until_state(job, "in_error")["error"]


def test_a_drain_lets_short_work_finish_and_gives_the_rest_back_uncounted(rig: Rig) -> None:
    rig.store.change_settings("sleep", {"grace_s": 3})
    rig.store.change_settings("tree", {"grace_s": 0.5})
    worker = rig.start("sleep", "tree", "patient", slots=3)
    ready = rig.directory / "ready"
    [short] = rig.enqueue("sleep", seconds=1.5)
    [deaf] = rig.enqueue("tree", ready=str(ready))
    [patient] = rig.enqueue("patient", seconds=60)
    rig.until_running([short, deaf, patient])
    eventually(ready.exists, "the tree stands")
    waiting = rig.enqueue("sleep", 5, seconds=60)
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert '"reason": "stopped"' in worker.log.read_text(encoding="utf-8")
    assert rig.job(short)["state"] == "finished"
    for job in (deaf, patient, *waiting):
        assert (rig.job(job)["state"], rig.job(job)["attempts"]) == ("waiting", 0)
    assert rig.marked() == []
    assert rig.rows("SELECT * FROM job_parent") == []


def test_a_second_sigterm_does_not_wait_for_the_grace_time(rig: Rig) -> None:
    rig.store.change_settings("sleep", {"grace_s": 3600})
    worker = rig.start("sleep")
    [job] = rig.enqueue("sleep", seconds=3600)
    rig.until_running([job])
    worker.signal(signal.SIGTERM)
    eventually(lambda: "draining" in worker.log.read_text(encoding="utf-8"), "the drain")
    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert (rig.job(job)["state"], rig.job(job)["attempts"]) == ("waiting", 0)


def test_a_crash_of_a_child_takes_its_descendants_along(rig: Rig) -> None:
    worker = rig.start("tree", slots=1)
    ready = rig.directory / "ready"
    rig.store.change_settings("tree", {"max_attempts": 1})
    [job] = rig.enqueue("tree", ready=str(ready))
    eventually(ready.exists, "the tree stands")
    [server] = [seen for seen in process_tree.snapshot()[worker.process.pid] if seen.lives]
    [child] = [seen for seen in process_tree.snapshot()[server.pid] if seen.lives]
    before = _below(child.pid)
    process_tree.send(child.pid, signal.SIGKILL)
    assert "SIGKILL" in rig.until_state(job, "in_error")["error"]
    assert not [pid for pid in before if lives(pid)]


def test_a_fork_server_that_is_killed_is_replaced_and_leaves_nothing(rig: Rig) -> None:
    worker = rig.start("tree", "no-op", slots=1)
    ready = rig.directory / "ready"
    rig.store.change_settings("tree", {"max_attempts": 1})
    [job] = rig.enqueue("tree", ready=str(ready))
    eventually(ready.exists, "the tree stands")
    [server] = [seen for seen in process_tree.snapshot()[worker.process.pid] if seen.lives]
    before = _below(server.pid)
    process_tree.send(server.pid, signal.SIGKILL)
    assert "fork server" in rig.until_state(job, "in_error")["error"]
    assert not [pid for pid in before if lives(pid)]
    [after] = rig.enqueue("no-op")
    rig.until_state(after, "finished")


@pytest.mark.parametrize("also_the_server", [False, True])
def test_a_parent_that_is_killed_leaves_no_process_and_its_successor_takes_over_at_once(
    rig: Rig, *, also_the_server: bool
) -> None:
    worker = rig.start("tree", slots=1)
    ready = rig.directory / "ready"
    rig.store.change_settings("tree", {"max_attempts": 2, "grace_s": 0.2})
    [job] = rig.enqueue("tree", ready=str(ready))
    eventually(ready.exists, "the tree stands")
    left = _below(worker.process.pid)
    [server] = [seen for seen in process_tree.snapshot()[worker.process.pid] if seen.lives]
    if also_the_server:
        process_tree.send(server.pid, signal.SIGSTOP)
    worker.signal(signal.SIGKILL)
    worker.ended()
    if also_the_server:
        process_tree.send(server.pid, signal.SIGKILL)
    Path(ready).unlink()
    rig.start("tree", slots=1)
    eventually(ready.exists, "the next attempt")
    assert not [pid for pid in left if lives(pid)]
    assert rig.job(job)["attempts"] == 1
    rig.interrupt(job)
    rig.until_state(job, "interrupted")
