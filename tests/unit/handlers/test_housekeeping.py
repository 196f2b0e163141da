"""What housekeeping removes, and what it leaves."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from central_dispatch.fleet import settings
from central_dispatch.fleet.actor import DISPATCHER
from central_dispatch.fleet.home import home_directory
from central_dispatch.fleet.models import Change, Instance, Run, RunEvent, RunStep, Worker
from central_dispatch.handlers import housekeeping
from central_dispatch.jobs.handling import Attempt
from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.outcome import Done, Outcome, Released
from central_dispatch.stores.places import open_store
from central_dispatch.worker_manager.models import Job

pytestmark = pytest.mark.usefixtures("database")


def keep_house(tmp_path: Path, stopping: Callable[[], bool] = lambda: False) -> Outcome:
    attempt = Attempt(1, 1, 1, tmp_path, lambda _percent, _words: None, stopping, lambda _exclusive, _shared: None)
    return housekeeping.handle({}, attempt)


def run(kind: str, days: float, *, is_open: bool = False) -> Run:
    now = timezone.now()
    worker = Worker.objects.first() or Worker.objects.create(name="w", created_at=now)
    instance = Instance.objects.first() or Instance.objects.create(
        name="site", worker=worker, state="active", created_at=now, changed_at=now
    )
    ended = None if is_open else now - timedelta(days=days)
    return Run.objects.create(
        instance=instance, worker=worker, kind=kind, spec={}, created_at=now - timedelta(days=days), ended_at=ended,
        open_key="x" if is_open else None, state=Run.State.RUNNING if is_open else Run.State.COMMITTED,
    )  # fmt: skip


def test_old_changes_go_and_fresh_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    now = timezone.now()
    for hours in (0, 0.5, 2, 3, 4, 5, 6):
        Change.objects.create(topic=f"t{hours}", at=now - timedelta(hours=hours))
    done = keep_house(tmp_path)
    assert isinstance(done, Done)
    assert done.result["changes"] == 5
    assert Change.objects.filter(topic__startswith="t").count() == 2


def test_old_looks_go_deployments_and_open_ones_stay(tmp_path: Path) -> None:
    run("plan", 31)
    fresh = run("inventory", 29)
    deployment, open_look = run("deploy", 400), run("plan", 60, is_open=True)
    done = keep_house(tmp_path)
    assert isinstance(done, Done)
    assert done.result["looks"] == 1
    assert set(Run.objects.values_list("pk", flat=True)) == {fresh.pk, deployment.pk, open_look.pk}


def test_of_an_ended_run_the_last_events_stay_and_an_open_one_keeps_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "read", lambda group: group.model_construct(events_per_run=3))
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    ended, running = run("deploy", 1), run("deploy", 1, is_open=True)
    for one in (ended, running):
        for sequence in range(1, 11):
            RunEvent.objects.create(run=one, sequence=sequence, at=one.created_at, kind="x", received_at=one.created_at)
    done = keep_house(tmp_path)
    assert isinstance(done, Done)
    assert done.result["events"] == 7
    assert list(RunEvent.objects.filter(run=ended).values_list("sequence", flat=True)) == [8, 9, 10]
    assert RunEvent.objects.filter(run=running).count() == 10


def test_ended_jobs_go_after_the_days_that_are_set_and_waiting_ones_never(tmp_path: Path) -> None:
    settings.change(DISPATCHER, settings.Retention, {"jobs_days": 3})
    store = open_store(home_directory())
    ended, waiting = store.enqueue([NewJob(kind="housekeeping", payload={})] * 2, timezone.now())
    Job.objects.filter(pk=ended).update(state="finished", ended_at=timezone.now() - timedelta(days=4))
    done = keep_house(tmp_path)
    store.close()
    assert isinstance(done, Done)
    assert done.result["ended_jobs"] == 1
    assert list(Job.objects.values_list("pk", flat=True)) == [waiting]


def test_asked_to_stop_it_goes_back_after_the_transaction_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK", 1)
    for _ in range(3):
        Change.objects.create(topic="old", at=timezone.now() - timedelta(hours=2))
    assert keep_house(tmp_path, lambda: True) == Released()
    assert Change.objects.filter(topic="old").count() == 2


def test_a_looks_many_events_and_steps_go_in_small_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK", 4)
    looks = [run("plan", 31) for _ in range(6)]
    for look in looks:
        for number in range(5):
            RunEvent.objects.create(
                run=look, sequence=number, at=look.created_at, kind="x", received_at=look.created_at
            )
            RunStep.objects.create(run=look, part="steps", index=number, name="x", title="x")
    deleted: list[int] = []

    def note(execute: Any, sql: str, *arguments: Any) -> Any:
        result = execute(sql, *arguments)
        if sql.startswith("DELETE") and "fleet_run" in sql:
            deleted.append(arguments[-1]["cursor"].rowcount)
        return result

    with connection.execute_wrapper(note):
        done = keep_house(tmp_path)
    assert isinstance(done, Done)
    assert done.result["looks"] == 6
    assert sum(deleted) == 6 + 30 + 30
    assert max(deleted) <= 4
    assert not RunEvent.objects.exists()
    assert not RunStep.objects.exists()
