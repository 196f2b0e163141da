"""Whatever a handler does to its process: the row says what happened, and the next job meets a clean one."""

import os
import signal
from datetime import UTC, datetime

import pytest

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.masking import MASK
from queue_workers import messes
from queue_workers.rig import Rig, eventually

LIMIT = {"limit_bytes": 300 << 20}


def test_nothing_that_a_handler_leaves_in_its_process_is_met_by_the_next_job(rig: Rig) -> None:
    first = rig.enqueue("leave", what="probe")[0]
    left = {what: (rig.enqueue("leave", what=what)[0], rig.enqueue("leave", what="probe")[0]) for what in messes.LEFT}
    rig.run_empty("leave", slots=1, recycling={"jobs": 10_000})
    clean = rig.job(first)
    assert "printed" in rig.store.output(first, clean["fence"]).decode()
    for what, (mess, after) in left.items():
        assert rig.job(mess)["state"] == "finished", what
        found = rig.job(after)
        assert (found["state"], found["result"]) == ("finished", clean["result"]), what
        assert rig.store.output(after, found["fence"]) == b"printed\n", what


def test_a_clean_handler_keeps_its_process(rig: Rig) -> None:
    """Or the test before would pass because every job had a process of its own."""
    rig.enqueue("probe", 5)
    rig.run_empty("probe", slots=1)
    assert len({row["child_pid"] for row in rig.rows("SELECT child_pid FROM job_attempt")}) == 1


def test_each_way_to_end_without_an_outcome_is_told_and_the_worker_goes_on(rig: Rig) -> None:
    jobs = {how: rig.enqueue("end", how=how)[0] for how in messes.ENDINGS}
    after = rig.enqueue("no-op")[0]
    rig.run_empty("end", "no-op", slots=2, recycling=LIMIT)
    for how, (_act, words) in messes.ENDINGS.items():
        found = rig.job(jobs[how])
        assert found["state"] == "in_error", how
        assert words in found["error"], how
        assert len(found["error"]) <= 4000, how
        outcomes = [attempt["outcome"] for attempt in rig.attempts(jobs[how])]
        # One that was claimed ahead and waited too long for its slot was given back first.
        assert [outcome for outcome in outcomes if outcome != "released"] in (["crashed"], ["failed"]), how
    assert rig.job(after)["state"] == "finished"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("class", "returned type where an outcome belongs"),
        ("nothing", "returned NoneType"),
        ("nan", "no JSON"),
        ("surrogate", "no JSON"),
        ("large", "put it into a file"),
        ("error of no text", "no JSON"),
        ("long failure", "it broke: xxx"),
        ("odd progress", ""),
        ("binary output", ""),
    ],
)
def test_what_is_no_outcome_is_a_failure_with_a_reason(rig: Rig, what: str, words: str) -> None:
    [job] = rig.enqueue("odd", what=what)
    rig.run_empty("odd")
    found = rig.job(job)
    assert found["state"] == ("in_error" if words else "finished")
    assert words in found["error"]
    if what == "binary output":
        assert rig.store.output(job, found["fence"]).startswith(b"\xff\xfe\x00\x80 not text \x00")


def test_a_job_that_prints_without_end_is_bounded_interrupted_and_starves_no_neighbour(rig: Rig) -> None:
    rig.start("endless", "no-op", slots=2)
    [job] = rig.enqueue("endless")
    rig.until_running([job])
    for neighbour in rig.enqueue("no-op", 20):
        rig.until_state(neighbour, "finished")
    rig.interrupt(job)
    found = rig.until_state(job, "interrupted")
    output = rig.store.output(job, found["fence"])
    assert len(output) < (81 << 10)
    assert b"bytes are left out" in output


def test_what_a_payload_keeps_secret_is_in_no_error_and_no_output(rig: Rig) -> None:
    [job] = rig.enqueue("tell", password="hunter22-x")
    worker = rig.start("tell")
    found = rig.until_state(job, "in_error")
    assert f"ftp://anna:{MASK}@host refused {MASK}" in found["error"]
    output = rig.store.output(job, found["fence"]).decode()
    assert f"logging in with {MASK}" in output
    everything = (*rig.attempts(job), found | {"payload": ""}, output, worker.log.read_text(encoding="utf-8"))
    assert "hunter22" not in str(everything)


@pytest.mark.parametrize("whom", ["server", "parent"])
def test_a_job_that_kills_what_runs_it_ends_in_error_after_its_attempts(rig: Rig, whom: str) -> None:
    [job] = rig.enqueue("poison", whom=whom)
    starts = 1
    worker = rig.start("poison", "no-op", slots=1)
    while rig.job(job)["state"] in {"waiting", "running"}:
        if worker.process.poll() is not None:
            starts += 1
            assert starts <= 4, "its attempts are bounded"
            worker = rig.start("poison", "no-op", slots=1)
            eventually(
                lambda at=starts: rig.job(job)["attempts"] == at - 1 or rig.job(job)["state"] == "in_error", "freed"
            )
    found = rig.job(job)
    assert (found["state"], found["attempts"]) == ("in_error", 3)
    assert len(rig.attempts(job)) == 3
    [after] = rig.enqueue("no-op")
    rig.until_state(after, "finished")


def test_an_unknown_kind_is_a_dead_letter_that_says_so_and_the_worker_goes_on(rig: Rig) -> None:
    """A worker that was started for a queue which its version does not know, or which it knows no more."""
    [job] = rig.store.enqueue([NewJob(kind="abolished", payload={})], datetime.now(UTC))
    assert job is not None
    after = rig.enqueue("no-op")[0]
    rig.run_empty("abolished", "no-op")
    assert "knows no kind of job “abolished”" in rig.job(job)["error"]
    assert (rig.job(job)["state"], rig.job(after)["state"]) == ("in_error", "finished")


def test_a_child_that_the_kernel_ends_for_its_memory_costs_one_attempt_and_says_so(rig: Rig) -> None:
    """What the out-of-memory killer does is a SIGKILL of the process that took most."""
    rig.store.change_settings("sleep", {"max_attempts": 2})
    rig.start("sleep", slots=1)
    log = rig.directory / "executions"
    [job] = rig.enqueue("sleep", seconds=600, log=str(log))
    for turn in (1, 2):
        eventually(lambda at=turn: log.exists() and len(log.read_bytes().splitlines()) == at, "it runs")
        child = int(log.read_text(encoding="ascii").splitlines()[-1].split()[2])
        with open(f"/proc/{child}/oom_score_adj", encoding="ascii") as score:  # noqa: PTH123 short
            assert int(score.read()) == 500, "the kernel chooses a job before the parent and the database"
        os.kill(child, signal.SIGKILL)
    found = rig.until_state(job, "in_error")
    assert "was the memory exhausted?" in found["error"]
    assert found["attempts"] == 2
