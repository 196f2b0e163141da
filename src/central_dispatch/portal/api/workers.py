"""Endpoints of workers."""

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from central_dispatch.fleet import queries
from central_dispatch.fleet.forms import WorkerForm, WorkerSettings
from central_dispatch.fleet.models import Worker
from central_dispatch.fleet.refusal import absent
from central_dispatch.fleet.services import workers
from central_dispatch.fleet.services.workers import Invitation
from central_dispatch.portal.api.access import Needs, caller
from central_dispatch.portal.api.answers import PROBLEMS, Page, Paging, done, page
from central_dispatch.portal.api.schemas import InvitationOut, WorkerIn, WorkerOut, WorkerSettingsIn, worker_out
from central_dispatch.portal.tls import dispatcher_pin

router = Router(tags=["workers"])


def _shown(worker: Worker) -> WorkerOut:
    return worker_out(worker, timezone.now())


def _invited(invitation: Invitation) -> InvitationOut:
    return InvitationOut(worker=_shown(invitation.worker), token=invitation.token, expires_at=invitation.expires_at)


@router.get("", auth=Needs("fleet.view"), response={200: Page[WorkerOut], **PROBLEMS})
def list_workers(request: HttpRequest, paging: Query[Paging]) -> Page[WorkerOut]:  # noqa: ARG001 ninja passes it
    """List the workers by name, without the revoked ones."""
    return page(queries.workers(), paging, _shown)


@router.post("", auth=Needs("worker.create"), response={201: InvitationOut, **PROBLEMS})
def add_worker(request: HttpRequest, body: WorkerIn) -> Status[InvitationOut]:
    """Add a worker; the answer holds the token that enrols it."""
    form = WorkerForm(**body.model_dump())
    return Status(201, _invited(done(workers.create_worker(caller(request), form, dispatcher_pin()))))


@router.get("/{worker_id}", auth=Needs("fleet.view"), response={200: WorkerOut, **PROBLEMS})
def show_worker(request: HttpRequest, worker_id: str) -> WorkerOut:  # noqa: ARG001 ninja passes it
    """Show a worker."""
    return _shown(done(queries.worker(worker_id) or absent("worker")))


@router.put("/{worker_id}/settings", auth=Needs("worker.edit"), response={200: WorkerOut, **PROBLEMS})
def set_worker(request: HttpRequest, worker_id: str, body: WorkerSettingsIn) -> WorkerOut:
    """Change what the portal decides about a worker."""
    values = WorkerSettings(
        default_admin_email=body.default_admin_email,
        default_hostname_pattern=body.default_hostname_pattern,
        default_schedule=body.default_schedule,
        allowed_user_ids=tuple(body.allowed_users),
    )
    return _shown(done(workers.update_worker(caller(request), worker_id, values)))


@router.post("/{worker_id}/invite", auth=Needs("worker.invite"), response={201: InvitationOut, **PROBLEMS})
def invite_worker(request: HttpRequest, worker_id: str) -> Status[InvitationOut]:
    """Make a new enrolment token; the ones before it stop working."""
    return Status(201, _invited(done(workers.invite(caller(request), worker_id, dispatcher_pin()))))


@router.post("/{worker_id}/accept", auth=Needs("worker.accept"), response={200: WorkerOut, **PROBLEMS})
def accept_worker(request: HttpRequest, worker_id: str) -> WorkerOut:
    """Accept a host that raised an alert: it gets orders again."""
    return _shown(done(workers.accept_host(caller(request), worker_id)))


@router.post("/{worker_id}/revoke", auth=Needs("worker.revoke"), response={200: WorkerOut, **PROBLEMS})
def revoke_worker(request: HttpRequest, worker_id: str) -> WorkerOut:
    """Take a worker's credential away for good."""
    return _shown(done(workers.revoke(caller(request), worker_id)))
