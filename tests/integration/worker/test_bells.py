"""What bells do for queue workers, on both brokers. Nobody looks by himself here: what is done, a bell has brought."""

import json
from datetime import UTC, datetime

import pytest

from central_dispatch import configuration
from central_dispatch.jobs.job import NewJob
from queue_workers.rig import Rig, Worker, eventually
from servers.amqp import Stranger
from servers.rabbitmq import shared_node

BROKERS = [("sqlite", "embedded"), ("sqlite", "rabbitmq")]
on_both = pytest.mark.parametrize("rig", BROKERS, indirect=True, ids=["embedded", "rabbitmq"])
on_rabbitmq = pytest.mark.parametrize("rig", BROKERS[1:], indirect=True, ids=["rabbitmq"])
BELLS_ONLY = {"look_s": 3600.0}


def started(rig: Rig, canary: str, *queues: str, slots: int = 2) -> Worker:
    """Start a worker and wait until it waits for bells: it has done what its first look found."""
    [job] = rig.store.enqueue([NewJob(kind=canary, payload={"at": 0.0, "queue": "-"})], datetime.now(UTC))
    worker = rig.start(canary, *queues, slots=slots, timing=BELLS_ONLY)
    assert job is not None
    rig.until_state(job, "finished")
    return worker


def stranger(rig: Rig) -> Stranger:
    found = configuration.read_configuration(rig.directory).broker
    return Stranger(shared_node().place(found.virtual_host))


@on_both
def test_a_job_begins_by_its_bell(rig: Rig) -> None:
    started(rig, "measure", "sleep")
    for _ in range(3):
        [job] = rig.enqueue("sleep", seconds=0)
        rig.until_state(job, "finished")


@on_both
def test_one_bell_for_many_jobs_brings_every_worker_that_has_room(rig: Rig) -> None:
    """The first one fills its slots, and rings on."""
    started(rig, "measure", "sleep")
    started(rig, "no-op", "sleep")
    jobs = rig.enqueue("sleep", 4, seconds=4)
    rig.until_running(jobs)


@on_both
def test_an_interrupt_reaches_the_worker_that_runs_the_job_whichever_it_is(rig: Rig) -> None:
    started(rig, "measure", "patient", slots=1)
    started(rig, "no-op", "patient", slots=1)
    jobs = rig.enqueue("patient", 2, seconds=60)
    rig.until_running(jobs)
    for job in jobs:
        rig.interrupt(job)
        assert "ended" in rig.until_state(job, "interrupted")["error"]


@on_both
def test_what_a_handler_rings_is_heard_by_other_workers(rig: Rig) -> None:
    started(rig, "measure", "ring")
    started(rig, "no-op", "sleep")
    [silent] = rig.store.enqueue([NewJob(kind="sleep", payload={"seconds": 0})], datetime.now(UTC))
    assert silent is not None
    rig.enqueue("ring", queue="sleep")
    rig.until_state(silent, "finished")


@on_both
def test_room_under_a_limit_and_a_retry_come_without_a_look(rig: Rig) -> None:
    rig.store.change_settings("sleep", {"concurrency": 1})
    rig.store.change_settings("misbehave", {"max_attempts": 3})
    started(rig, "measure", "sleep", "misbehave")
    jobs = rig.enqueue("sleep", 5, seconds=0)
    [failing] = rig.enqueue("misbehave", how="raise")
    for job in jobs:
        rig.until_state(job, "finished")
    assert rig.until_state(failing, "in_error")["attempts"] == 3


@on_rabbitmq
def test_a_job_in_error_has_a_copy_in_failed(rig: Rig) -> None:
    started(rig, "measure", "misbehave")
    [job] = rig.enqueue("misbehave", how="fail", password="hunter22")
    rig.until_state(job, "in_error")
    seen = stranger(rig)
    eventually(lambda: seen.depth("misbehave_failed"), "the copy")
    [copy] = seen.take("misbehave_failed")
    assert json.loads(copy.body)["how"] == "fail"
    assert "hunter22" not in copy.body.decode()
    assert (copy.headers["job"], copy.headers["reason"]) == (job, "this can never work")
    assert seen.depth("misbehave") == 0, "its bell is acknowledged"


@on_rabbitmq
def test_workers_that_are_full_do_not_ring_each_other_mad(rig: Rig) -> None:
    node = shared_node()
    started(rig, "measure", "no-op")
    started(rig, "ring", "no-op")
    before = node.published()
    jobs = rig.enqueue("no-op", 2000)
    eventually(lambda: rig.states().get("finished", 0) >= len(jobs), "all are done")
    assert node.published() - before < 20, "a bell for 2000 jobs, and one for each time that slots were filled"


@on_rabbitmq
def test_work_goes_on_while_rabbitmq_is_dead(rig: Rig) -> None:
    node = shared_node()
    worker = rig.start("sleep", slots=2)
    rig.until_state(*rig.enqueue("sleep", seconds=0), "finished")
    node.kill()
    try:
        for _ in range(3):
            rig.until_state(*rig.enqueue("sleep", seconds=0), "finished")
        [running] = rig.enqueue("patient", seconds=60)
        rig.start("patient", slots=1)  # one that has never seen it
        rig.until_running([running])
        rig.interrupt(running)
        rig.until_state(running, "interrupted")
    finally:
        node.start()
    eventually(lambda: "over:" in worker.log.read_text(), "it is back")
    said = [line for line in worker.log.read_text().splitlines() if "is away" in line and "over:" not in line]
    assert len(said) == 1, said
