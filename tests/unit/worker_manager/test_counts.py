"""What is in the queues: each job counted once, and not more often than once a second."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from central_dispatch.jobs.job import NewJob
from central_dispatch.worker_manager import enqueueing
from central_dispatch.worker_manager.counts import QueueCounts, Remembered, count
from central_dispatch.worker_manager.models import Job

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.usefixtures("database")
def test_every_job_is_counted_where_it_stands_and_what_is_due_is_ready() -> None:
    with transaction.atomic():
        enqueueing.enqueue([NewJob(kind="a", payload={}) for _ in range(9)] + [NewJob(kind="b", payload={})])
    jobs = list(Job.objects.filter(queue="a").order_by("pk"))
    later, before = NOW + timedelta(minutes=1), NOW - timedelta(minutes=5)
    changes = [
        {"due_at": before},
        {"due_at": NOW, "waiting_for": "retry"},
        {"due_at": later, "waiting_for": "retry"},
        {"due_at": later, "waiting_for": "deferred"},
        {"due_at": later},
        {"state": "running", "parent": "p"},
        {"state": "finished", "ended_at": NOW},
        {"state": "in_error", "ended_at": NOW},
        {"state": "interrupted", "ended_at": NOW},
    ]
    for job, change in zip(jobs, changes, strict=True):
        Job.objects.filter(pk=job.pk).update(**change)
    Job.objects.filter(queue="b").update(due_at=later)
    found = count(NOW)
    assert found.of("a") == QueueCounts(
        total=9, ready=2, retrying=1, deferred=1, later=1, running=1, in_error=1, interrupted=1, oldest_ready=before
    )
    assert found.of("a").finished == 1
    assert found.of("b") == QueueCounts(total=1, later=1)
    assert found.of("nothing") == QueueCounts()
    assert (found.state("waiting"), found.state("finished"), found.state(""), found.state("waiting", "b")) == (
        6,
        1,
        10,
        1,
    )


@pytest.mark.usefixtures("database")
def test_counting_takes_six_questions_however_many_queues_there_are() -> None:
    with transaction.atomic():
        enqueueing.enqueue([NewJob(kind=f"q{n}", payload={}) for n in range(30)])
    with CaptureQueriesContext(connection) as queries:
        assert len(count(NOW).queues) == 30
    assert len(queries) == 6


def test_a_figure_is_looked_up_once_in_its_time_and_anew_when_it_is_forgotten() -> None:
    calls: list[int] = []
    remembered = Remembered(lambda: calls.append(1) or len(calls), fresh_s=3600)  # type: ignore[func-returns-value] # append returns None
    assert [remembered.get(), remembered.get()] == [1, 1]
    remembered.forget()
    assert remembered.get() == 2
    always = Remembered(lambda: calls.append(1) or len(calls), fresh_s=0)  # type: ignore[func-returns-value] # likewise
    assert always.get() < always.get()
