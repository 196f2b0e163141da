"""However a handler ends, the parent goes on and the row says what happened."""

import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from central_dispatch.jobs.job import NewJob
from queue_workers import refusing
from queue_workers.rig import Rig, eventually, lives

ENDINGS = {
    "raise": ("failed", "LookupError: the record is gone (handlers.py:"),
    "exit": ("crashed", "the handler called exit(3)"),
    "exit hard": ("crashed", "exit code 7"),
    "segfault": ("crashed", "SIGSEGV"),
    "memory": ("crashed", "MemoryError"),
    "killed": ("crashed", "SIGKILL"),
    "nonsense": ("failed", "the handler returned str where an outcome belongs"),
    "no json": ("failed", "the result is no JSON"),
    "fail": ("failed", "this can never work"),
    "unasked": ("failed", "nobody had asked it to stop"),
}


def test_every_ending_is_recorded_with_its_reason_and_the_worker_goes_on(rig: Rig) -> None:
    jobs = {how: rig.enqueue("misbehave", how=how)[0] for how in ENDINGS}
    deferred = rig.enqueue("misbehave", how="defer")[0]
    after = rig.enqueue("no-op")[0]
    rig.run_empty("misbehave", "no-op", slots=2, recycling={"limit_bytes": 400 << 20})
    for how, (outcome, words) in ENDINGS.items():
        found, [attempt] = rig.job(jobs[how]), rig.attempts(jobs[how])
        assert (found["state"], attempt["outcome"]) == ("in_error", outcome), how
        assert words in found["error"], how
        assert attempt["child_pid"] > 0
    assert rig.job(deferred)["waiting_for"] == "deferred"
    assert rig.job(deferred)["attempts"] == 0
    assert rig.job(after)["state"] == "finished"


def test_a_traceback_and_the_trace_of_a_crash_are_in_the_captured_output(rig: Rig) -> None:
    jobs = [rig.enqueue("misbehave", how=how)[0] for how in ("raise", "segfault")]
    rig.run_empty("misbehave")
    outputs = [rig.store.output(job, rig.job(job)["fence"]) for job in jobs]
    assert b"Traceback" in outputs[0]
    assert b"Segmentation fault" in outputs[1]


def test_of_endless_output_the_beginning_and_the_end_are_kept(rig: Rig) -> None:
    [job] = rig.enqueue("flood", kib=4096)
    rig.run_empty("flood")
    output = rig.store.output(job, rig.job(job)["fence"])
    assert len(output) < (81 << 10)
    assert output.startswith(b"the beginning")
    assert output.endswith(b"the end\n")
    assert b"bytes are left out" in output


def test_a_child_that_was_heard_all_at_once_is_read_on_in_its_next_job(rig: Rig) -> None:
    rig.enqueue("telling", 100)
    [job] = rig.enqueue("flood", kib=200)
    rig.run_empty("telling", "flood", slots=1)  # one child has them all
    assert rig.store.output(job, rig.job(job)["fence"]).endswith(b"the end\n")


@pytest.mark.parametrize("how", ["refuses", "dies"])
def test_where_no_process_can_be_made_jobs_keep_their_attempts_and_it_is_tried_at_a_bounded_pace(
    rig: Rig, how: str
) -> None:
    place = rig.directory / "refusing"
    place.write_text(how, encoding="ascii")
    rig.environment[refusing.VARIABLE] = str(place)
    rig.prepare = ("queue_workers.refusing:prepare",)
    [job] = rig.enqueue("no-op")
    rig.start("no-op", slots=1)
    tries = place.with_suffix(".tries")
    eventually(lambda: tries.exists() and len(tries.read_text(encoding="ascii").splitlines()) >= 4, "it is tried")
    assert {one["outcome"] for one in rig.attempts(job)} <= {"released"}
    assert rig.job(job)["attempts"] == 0
    place.unlink()
    assert rig.until_state(job, "finished")["attempts"] == 1
    moments = [float(line) for line in tries.read_text(encoding="ascii").splitlines()]
    assert all(after - before >= 0.9 for before, after in pairwise(moments)), "not at once"


def test_progress_is_seen_while_it_runs_and_the_work_directory_goes_with_it(rig: Rig) -> None:
    rig.start("report")
    [job] = rig.enqueue("report")
    eventually(lambda: rig.job(job)["percent"] == 40, "progress")
    assert rig.job(job)["state"] == "running"
    found = rig.until_state(job, "finished")
    fence = found["fence"]
    directory = rig.directory / "work" / str(job) / str(fence)
    assert str(directory) in found["result"]
    assert f"working in {directory} {job}/{fence}".encode() in rig.store.output(job, fence)
    assert list((rig.directory / "work").iterdir()) == []


def test_nothing_that_a_handler_started_outlives_it(rig: Rig) -> None:
    """A double-forked process in a session of its own is found as well."""
    worker = rig.start("litter", "no-op", slots=1)
    [job] = rig.enqueue("litter", ready=str(rig.directory / "ready"))
    rig.until_state(job, "finished")
    assert len(rig.marked()) == 2  # the fork server and its one warm child
    assert lives(worker.process.pid)


@pytest.mark.parametrize("recycling", [{"jobs": 3}, {"resident_bytes": 1}])
def test_children_are_replaced_by_count_and_by_memory(rig: Rig, recycling: dict[str, int]) -> None:
    rig.enqueue("no-op", 12)
    rig.run_empty("no-op", slots=1, recycling=recycling)
    pids = {row["child_pid"] for row in rig.rows("SELECT child_pid FROM job_attempt")}
    assert len(pids) == (4 if "jobs" in recycling else 12)
    assert rig.states() == {"finished": 12}


def test_one_warm_child_runs_many_jobs(rig: Rig) -> None:
    rig.enqueue("no-op", 50)
    rig.run_empty("no-op", slots=1)
    assert len({row["child_pid"] for row in rig.rows("SELECT child_pid FROM job_attempt")}) == 1


def test_a_payload_of_a_newer_version_waits_for_a_newer_worker(rig: Rig) -> None:
    [job] = rig.store.enqueue([NewJob(kind="no-op", payload={}, payload_version=2)], datetime.now(UTC))
    rig.run_empty("no-op")
    assert job is not None
    found = rig.job(job)
    assert (found["state"], found["waiting_for"], found["attempts"]) == ("waiting", "deferred", 0)
    assert "bring the worker up to date" in found["error"]


def test_jobs_that_arrive_while_a_worker_ends_keep_their_attempts(rig: Rig) -> None:
    """What it had claimed and not begun goes back uncounted."""
    for _ in range(5):
        worker = rig.start("no-op", until_empty=True)
        for _ in range(500):
            if worker.process.poll() is not None:
                break
            rig.enqueue("no-op", 3)
            time.sleep(0.02)  # so that it finds nothing due now and then, with more on the way
    rig.run_empty("no-op")
    assert rig.rows("SELECT * FROM job_attempt WHERE outcome NOT IN ('done', 'released')") == []
    assert rig.rows("SELECT id FROM job WHERE state <> 'finished' OR attempts <> 1") == []
