"""Folds what a host reports of a run into its row, its steps and its instance. Repeats are harmless."""

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet.announce import announce, run_changed
from central_dispatch.fleet.models import Run, RunEvent, Worker
from central_dispatch.fleet.refusal import Refused, absent, forbidden
from central_dispatch.fleet.services.folding import Folding, event_time, kept_data
from central_dispatch.fleet.services.hosts import StaleSession, stale_session
from central_dispatch.fleet.services.runs import look_again
from central_dispatch.fleet.states import OPEN_RUNS
from central_dispatch.provisioning.protocol import Report, Reported
from central_dispatch.provisioning.protocol import RunEvent as RunEventMessage

# What the column holds, and more than any plan has; a host that says otherwise talks nonsense.
_STEP_RANGE = range(-1, 32_768)


@dataclass(frozen=True, slots=True)
class Gap:
    """The report leaves events out: the host goes back to the one after `through`."""

    through: int


def record_events(worker_id: str, run_id: str, report: Report) -> Reported | Refused | StaleSession | Gap:
    """Store the events that are new, and let run, steps and instance follow. `forbidden`: another worker's run."""
    with transaction.atomic():
        worker = Worker.objects.select_for_update().get(pk=worker_id)
        run = Run.objects.select_for_update().select_related("instance", "worker").filter(pk=run_id).first()
        if run is None:
            return absent("run")
        if run.worker_id != worker.pk:
            return forbidden("this run belongs to another worker")
        if report.session != worker.session:
            return stale_session(worker, report.session)
        worker.last_seen, worker.used_session = timezone.now(), report.session
        worker.save(update_fields=["last_seen", "used_session"])
        return _stored(run, report)


def _stored(run: Run, report: Report) -> Reported | Gap:
    fresh = [event for event in report.events if event.sequence > run.through]
    expected = range(run.through + 1, run.through + 1 + len(fresh))
    if [event.sequence for event in fresh] != list(expected):
        return Gap(run.through)
    if fresh:
        _fold(run, report.session, fresh)
    return Reported(through=run.through)


def _fold(run: Run, session: int, fresh: list[RunEventMessage]) -> None:
    now = timezone.now()
    was_open = run.state in OPEN_RUNS
    folding = Folding(run)
    rows = []
    for event in fresh:
        # A run that has ended here (withdrawn, lost) stays so: what its host still says is kept, not followed.
        if run.state in OPEN_RUNS:
            folding.take(event)
        rows.append(
            RunEvent(
                run=run,
                sequence=event.sequence,
                at=event_time(event, now),
                kind=event.kind,
                step=event.step if event.step in _STEP_RANGE else -1,
                data=kept_data(event),
                received_at=now,
            )
        )
    RunEvent.objects.bulk_create(rows)
    run.through, run.session = fresh[-1].sequence, session
    run.save()
    folding.save_steps()
    run_changed(run)
    _afterwards(run, was_open=was_open)


def _afterwards(run: Run, *, was_open: bool) -> None:
    ended = was_open and run.state not in OPEN_RUNS
    if ended and run.kind == Run.Kind.CLEAR:
        look_again(run.instance)
    if ended:
        announce("instances", f"worker:{run.worker_id}")
