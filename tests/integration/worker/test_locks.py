"""Locks as handlers take them: through their parent, for as long as they run."""

import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queue_workers.rig import Rig, eventually

R = "record:1:2"


def inside(rig: Rig) -> list[list[str]]:
    log = rig.directory / "log"
    return [line.split() for line in log.read_text(encoding="ascii").splitlines()] if log.exists() else []


def never_together(rig: Rig) -> bool:
    there: set[str] = set()
    for what, job in inside(rig):
        if what == "in":
            if there:
                return False
            there.add(job)
        else:
            there.discard(job)
    return True


def locking(rig: Rig, count: int = 1, **payload: object) -> list[int]:
    return rig.enqueue("locking", count, log=str(rig.directory / "log"), **payload)


@pytest.fixture
def gate(rig: Rig) -> Path:
    return rig.directory / "gate"


def test_jobs_on_one_record_follow_each_other_and_nobody_waits_for_a_clock(rig: Rig) -> None:
    jobs = locking(rig, 12, alone=[R], seconds=0.03)
    rig.start("locking", slots=4)
    rig.start("locking", slots=4)
    # Whoever is refused would come back by itself after five minutes: the end of the lock brings it.
    eventually(lambda: rig.states() == {"finished": 12}, "all are done")
    assert never_together(rig)
    assert Counter(job for what, job in inside(rig) if what == "in") == {str(job): 1 for job in jobs}
    assert rig.rows("SELECT * FROM job_lock") == rig.rows("SELECT * FROM job_wish") == []
    outcomes = Counter(entry["outcome"] for job in jobs for entry in rig.attempts(job))
    assert outcomes["deferred"] > 0
    assert outcomes["done"] == 12


def test_sharers_work_side_by_side_and_who_wants_it_alone_comes_between_them(rig: Rig) -> None:
    rig.start("locking", slots=4)
    first = locking(rig, 2, shared=[R], seconds=600)
    eventually(lambda: len(inside(rig)) == 2, "both share it")
    (alone,) = locking(rig, alone=[R])
    eventually(lambda: rig.job(alone)["deferrals"] == 1, "it was refused")
    (late,) = locking(rig, shared=[R])
    eventually(lambda: rig.job(late)["deferrals"] == 1, "it stands behind him")
    assert f"job {alone} is before it in line for {R}" in rig.job(late)["error"]
    assert R in rig.job(alone)["error"]
    for job in first:
        rig.interrupt(job)
    rig.until_state(late, "finished")
    order = [int(job) for what, job in inside(rig) if what == "in"]
    assert order[2:] == [alone, late]


def test_a_killed_workers_locks_end_with_it(rig: Rig) -> None:
    worker = rig.start("locking", slots=1)
    (held,) = locking(rig, alone=[R], seconds=600)
    eventually(lambda: inside(rig), "it has the lock")
    worker.signal(signal.SIGKILL)
    worker.ended()
    # A higher priority is not needed: the held job is due again, and whoever comes first has the record.
    (other,) = locking(rig, alone=[R])
    rig.interrupt(held)
    rig.start("locking", slots=1)
    rig.until_state(other, "finished")
    assert rig.job(held)["state"] == "interrupted"


def test_a_worker_that_stood_stopped_past_its_lease_holds_nothing_and_gets_nothing(rig: Rig) -> None:
    timing = {"beat_s": 0.1, "lease_s": 1.0, "stopped_s": 0.5}
    stopped = rig.start("locking", slots=1, timing=timing)
    (first,) = locking(rig, alone=[R], seconds=600)
    eventually(lambda: inside(rig), "it has the lock")
    stopped.signal(signal.SIGSTOP)
    (second,) = locking(rig, alone=[R, "other"])
    rig.start("locking", slots=1, timing=timing)
    rig.until_state(second, "finished")
    stopped.signal(signal.SIGCONT)
    rig.interrupt(first)
    assert rig.until_state(first, "interrupted")["attempts"] >= 1
    eventually(lambda: not rig.rows("SELECT * FROM job_lock"), "nothing is locked")


def test_a_handler_whose_fence_is_gone_is_ended_at_its_wish_for_a_lock(rig: Rig, gate: Path) -> None:
    # Neither beat nor look could tell the parent before the handler asks.
    worker = rig.start("locking", slots=1, timing={"beat_s": 3600, "lease_s": 7200, "look_s": 3600})
    (job,) = locking(rig, alone=[R], gate=str(gate))
    rig.until_running([job])
    eventually(rig.marked, "it runs")
    rig.store.raise_epoch(datetime.now(UTC))
    gate.touch()
    eventually(lambda: f"job {job}" in worker.log.read_text(encoding="utf-8"), "its end is in the log")
    assert inside(rig) == []
    assert rig.job(job)["state"] == "waiting"
    assert rig.rows("SELECT * FROM job_lock") == []


def test_a_wish_that_makes_no_sense_fails_in_the_handler(rig: Rig) -> None:
    (job,) = locking(rig, alone=["a b"])
    (letters,) = locking(rig, alone="record")
    rig.run_empty("locking")
    assert "a lock's name has" in rig.attempts(job)[0]["error"]
    assert "lists of names" in rig.attempts(letters)[0]["error"]
