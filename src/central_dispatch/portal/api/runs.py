"""Endpoints of runs."""

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status

from central_dispatch.fleet import queries
from central_dispatch.fleet.refusal import absent
from central_dispatch.fleet.services import runs
from central_dispatch.portal.api.access import Needs, caller
from central_dispatch.portal.api.answers import PROBLEMS, Page, Paging, done, page
from central_dispatch.portal.api.schemas import EventOut, RunDetailOut, RunOut, event_out, run_detail_out, run_out

router = Router(tags=["runs"])


class RunFilter(Schema):
    """Which runs are wanted; blank: all."""

    instance: str = ""
    worker: str = ""
    open: bool = False


@router.get("", auth=Needs("fleet.view"), response={200: Page[RunOut], **PROBLEMS})
def list_runs(
    request: HttpRequest,  # noqa: ARG001 ninja passes it
    wanted: Query[RunFilter],
    paging: Query[Paging],
) -> Page[RunOut]:
    """List the runs, newest first."""
    rows = queries.runs(instance=wanted.instance, worker=wanted.worker, open_only=wanted.open)
    return page(rows, paging, run_out)


@router.get("/{run_id}", auth=Needs("fleet.view"), response={200: RunDetailOut, **PROBLEMS})
def show_run(request: HttpRequest, run_id: str) -> RunDetailOut:  # noqa: ARG001 ninja passes it
    """Show a run with its steps."""
    return run_detail_out(done(queries.run(run_id) or absent("run")))


@router.get("/{run_id}/events", auth=Needs("fleet.view"), response={200: Page[EventOut], **PROBLEMS})
def list_events(
    request: HttpRequest,  # noqa: ARG001 ninja passes it
    run_id: str,
    paging: Query[Paging],
) -> Page[EventOut]:
    """List the journal lines of a run, as its host reported them. Output is with the steps."""
    run = done(queries.run(run_id) or absent("run"))
    return page(run.events.all(), paging, event_out)


@router.post("/{run_id}/back-out", auth=Needs("run.back_out"), response={202: RunOut, **PROBLEMS})
def back_out(request: HttpRequest, run_id: str) -> Status[RunOut]:
    """Have the run turn round at its next step boundary."""
    return Status(202, run_out(done(runs.back_out(caller(request), run_id))))


@router.post("/{run_id}/retry", auth=Needs("run.retry"), response={202: RunOut, **PROBLEMS})
def retry(request: HttpRequest, run_id: str) -> Status[RunOut]:
    """Have a stuck run try again."""
    return Status(202, run_out(done(runs.retry_stuck(caller(request), run_id))))


@router.post("/{run_id}/acknowledge", auth=Needs("run.acknowledge"), response={202: RunOut, **PROBLEMS})
def acknowledge(request: HttpRequest, run_id: str) -> Status[RunOut]:
    """Take over what the run is stuck at; the run carries on with the rest."""
    return Status(202, run_out(done(runs.acknowledge(caller(request), run_id))))
