"""Batches: how far one is, and what people do to the whole of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.home import home_directory
from central_dispatch.fleet.refusal import Refused
from central_dispatch.jobs.job import NewJob
from central_dispatch.portal.audit.models import AuditEntry
from central_dispatch.stores.places import open_store
from central_dispatch.worker_manager import batches, bells
from central_dispatch.worker_manager.enqueueing import enqueue
from central_dispatch.worker_manager.models import Batch, Job

pytestmark = pytest.mark.usefixtures("database")

VIEWER = Actor("viewer", Role.VIEWER)
OPERATOR = Actor("operator", Role.OPERATOR)
KIND = "housekeeping"


class Bells:
    """Notes what was rung."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.called: list[str] = []

    def ring(self, queues: tuple[str, ...]) -> None:
        self.rung += queues

    def call(self, queues: tuple[str, ...]) -> None:
        self.called += queues


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> Bells:
    broker = Bells()
    monkeypatch.setattr(bells, "broker", lambda: broker)
    return broker


@pytest.fixture
def rung(told: Bells) -> list[str]:
    return told.rung


def batch(children: int, *, total: bool = True) -> Batch:
    with transaction.atomic():
        (splitter,) = enqueue([NewJob(kind="mainQueue", payload={}, enqueued_by="anna")])
        assert splitter is not None
        opened = batches.open_batch(batches.NewBatch(splitter, KIND, "records", "", children, "anna"))
        enqueue([NewJob(kind=KIND, payload={}, batch=opened.id, batch_index=n) for n in range(children)])
        if total:
            batches.complete(opened.id, children)
    Job.objects.filter(pk=splitter).update(state="finished" if total else "waiting")
    return Batch.objects.get(pk=opened.id)


def put(of: Batch, state: str, indexes: range, **more: object) -> None:
    ended = timezone.now() if state in {"finished", "in_error", "interrupted"} else None
    parent = "p" if state == "running" else None
    jobs = Job.objects.filter(batch=of.pk, batch_index__in=indexes)
    jobs.update(state=state, parent=parent, **({"ended_at": ended} | more))


def states(of: Batch) -> dict[str, int]:
    counts = batches.progress(of).counts
    return {name: getattr(counts, name) for name in ("waiting", "running", "finished", "in_error", "interrupted")}


def test_progress_counts_by_state_with_percent_rate_and_the_first_errors() -> None:
    made = batch(20)
    put(made, "finished", range(8))
    put(made, "in_error", range(8, 10), error="no such record")
    put(made, "running", range(10, 12))
    found = batches.progress(made)
    assert states(made) == {"waiting": 8, "running": 2, "finished": 8, "in_error": 2, "interrupted": 0}
    assert found.percent == 50.0
    assert not found.splitting
    assert found.rate > 0
    assert found.left_s is not None
    assert [error for _job, error in found.first_errors] == ["no such record"] * 2


def test_what_ended_long_ago_is_no_rate_and_what_was_pruned_has_ended() -> None:
    made = batch(10)
    put(made, "finished", range(5), ended_at=datetime(2026, 1, 1, tzinfo=UTC))
    Job.objects.filter(batch=made.pk, batch_index__lt=3).delete()
    found = batches.progress(made)
    assert (found.percent, found.rate, found.left_s) == (50.0, 0.0, None)


def test_while_it_is_split_what_is_not_made_has_not_ended() -> None:
    made = batch(4, total=False)
    Batch.objects.filter(pk=made.pk).update(expected=8)
    put(made, "finished", range(4))
    found = batches.progress(Batch.objects.get(pk=made.pk))
    assert (found.percent, found.splitting, found.left_s) == (50.0, True, None)


def test_cancelling_ends_what_waits_and_leaves_what_runs(rung: list[str]) -> None:
    made, other = batch(700), batch(3)
    put(made, "running", range(2))
    assert batches.cancel(OPERATOR, made.pk) == 698
    assert states(made) == {"waiting": 0, "running": 2, "finished": 0, "in_error": 0, "interrupted": 698}
    assert states(other)["waiting"] == 3
    assert Job.objects.filter(batch=made.pk, state="interrupted").first().ended_by == "operator"  # type: ignore[union-attr]
    assert [entry.what for entry in AuditEntry.objects.filter(subject=f"batch:{made.pk}")] == ["job.cancel"] * 2
    assert KIND in rung


def test_interrupting_ends_the_splitting_too_and_asks_what_runs(rung: list[str]) -> None:
    made = batch(5, total=False)
    put(made, "running", range(2))
    assert batches.interrupt(OPERATOR, made.pk, "wrong records") == 5
    assert Job.objects.get(pk=made.job).state == "interrupted"
    assert set(Job.objects.filter(batch=made.pk, state="running").values_list("interrupt_by", flat=True)) == {
        "operator"
    }
    assert states(made)["interrupted"] == 3
    assert {KIND, "mainQueue"} <= set(rung)


def test_what_runs_and_what_splits_is_called_off_at_all_parents(told: Bells) -> None:
    made = batch(3, total=False)
    Job.objects.filter(pk=made.job).update(state="running", parent="p")
    put(made, "running", range(2))
    assert batches.interrupt(OPERATOR, made.pk) == 3
    assert Job.objects.get(pk=made.job).interrupt_by == "operator"
    assert told.called == ["mainQueue", KIND]


def test_what_begins_or_comes_back_while_a_batch_is_interrupted_does_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made = batch(6)
    put(made, "running", range(2))
    purge, ask_to_stop = batches.acts.purge, batches.table.ask_to_stop

    def purge_after_a_claim(connection: Any, jobs: Any, *further: Any) -> list[int]:
        Job.objects.filter(pk=min(jobs, default=0)).update(state="running", parent="p")
        return purge(connection, jobs, *further)

    def ask_after_a_failure(connection: Any, *further: Any) -> list[int]:
        put(made, "waiting", range(1))  # it is to be tried again
        monkeypatch.undo()
        return ask_to_stop(connection, *further)

    monkeypatch.setattr(batches.acts, "purge", purge_after_a_claim)
    monkeypatch.setattr(batches.table, "ask_to_stop", ask_after_a_failure)
    monkeypatch.setattr(bells, "broker", Bells)
    assert batches.interrupt(OPERATOR, made.pk) == 6
    assert states(made) == {"waiting": 0, "running": 2, "finished": 0, "in_error": 0, "interrupted": 4}
    assert not Job.objects.filter(batch=made.pk, state="running", interrupt_by="").exists()


def test_the_failed_are_tried_again_and_the_interrupted_where_that_is_wished() -> None:
    made = batch(6)
    put(made, "in_error", range(2), attempts=3)
    put(made, "interrupted", range(2, 5))
    assert batches.retry_failed(OPERATOR, made.pk) == 2
    assert states(made)["waiting"] == 3
    assert set(Job.objects.filter(batch=made.pk, state="waiting").values_list("attempts", flat=True)) == {0}
    assert batches.retry_failed(OPERATOR, made.pk, interrupted=True) == 3
    assert states(made) == {"waiting": 6, "running": 0, "finished": 0, "in_error": 0, "interrupted": 0}


@pytest.mark.parametrize("act", [batches.cancel, batches.interrupt, batches.retry_failed])
def test_an_act_is_for_those_who_may_and_for_a_batch_that_there_is(act: object) -> None:
    made = batch(1)
    assert callable(act)
    assert isinstance(act(VIEWER, made.pk), Refused)
    refused = act(OPERATOR, made.pk + 99)
    assert isinstance(refused, Refused)
    assert refused.kind == "absent"
    assert states(made)["waiting"] == 1


def test_a_batch_is_pruned_with_the_last_of_its_jobs() -> None:
    made = batch(2)
    store = open_store(home_directory())
    try:
        later = timezone.now() + timedelta(days=40)
        store.prune(later, timedelta(days=30), 100)
        assert Batch.objects.count() == 1
        put(made, "finished", range(2))
        Job.objects.filter(pk=made.job).update(ended_at=timezone.now())
        store.prune(later, timedelta(days=30), 100)
        assert (Job.objects.count(), Batch.objects.count()) == (0, 0)
    finally:
        store.close()
