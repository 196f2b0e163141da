"""Enrolment, sessions, heartbeats and events. Each call but the enrolment carries the host's credential."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from pydantic import BaseModel, ValidationError

from central_dispatch.fleet import audit
from central_dispatch.fleet.models import Worker
from central_dispatch.fleet.refusal import Refused, problems_of
from central_dispatch.fleet.services import hosts
from central_dispatch.fleet.services.events import Gap, record_events
from central_dispatch.fleet.services.hosts import StaleSession
from central_dispatch.portal.access import requires
from central_dispatch.portal.problem_json import problem_response, refusal_response
from central_dispatch.provisioning.protocol import Enrol, Heartbeat, Report, SessionStart

Model = TypeVar("Model", bound=BaseModel)


def bearer(authorization: str) -> str:
    """Return the token of an `Authorization` header; empty: it has none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def host_view(
    view: Callable[..., HttpResponse],
) -> Callable[..., HttpResponse]:
    """Make a view of the host API: POST only, no cookie counts, the credential names the worker."""

    @wraps(view)
    def checked(request: HttpRequest, **parts: str) -> HttpResponse:
        worker = hosts.worker_by_credential(bearer(request.headers.get("Authorization", "")))
        if worker is None:
            return problem_response(401, "The credential is unknown or was revoked; enrol the host again")
        return view(request, worker, **parts)

    return requires("own")(csrf_exempt(require_POST(checked)))


def read(request: HttpRequest, model: type[Model]) -> Model | HttpResponse:
    """Parse a request's body, or return the answer that says what is wrong with it."""
    try:
        return model.model_validate_json(request.body)
    except RequestDataTooBig:
        return problem_response(413, "The message is too large; send fewer events at once")
    except ValidationError as error:
        return problem_response(400, "The message is malformed", problems_of(error))


@requires("own")
@csrf_exempt
@require_POST
def enroll(request: HttpRequest) -> HttpResponse:
    """Trade a one-time token for a credential."""
    message = read(request, Enrol)
    if isinstance(message, HttpResponse):
        return message
    answer = hosts.enrol(message, request.META.get("REMOTE_ADDR", ""))
    if isinstance(answer, Refused):
        status = 400 if answer.kind == "invalid" else 410
        return problem_response(status, str(answer.problems[0]), answer.problems)
    return json_response(answer)


@host_view
def session(request: HttpRequest, worker: Worker) -> HttpResponse:
    """Start a session."""
    message = read(request, SessionStart)
    return message if isinstance(message, HttpResponse) else json_response(hosts.start_session(worker.pk, message))


@host_view
def heartbeat(request: HttpRequest, worker: Worker) -> HttpResponse:
    """Take a sign of life."""
    message = read(request, Heartbeat)
    if isinstance(message, HttpResponse):
        return message
    return answered(hosts.heartbeat(worker.pk, message))


@host_view
def events(request: HttpRequest, worker: Worker, run: str) -> HttpResponse:
    """Take what happened in a run of this host; another host's is refused and put on record."""
    report = read(request, Report)
    if isinstance(report, HttpResponse):
        return report
    answer = record_events(worker.pk, run, report)
    if isinstance(answer, Refused) and answer.kind == "forbidden":
        _on_record(request, worker, run)
    return answered(answer)


def answered(answer: BaseModel | StaleSession | Gap | Refused) -> HttpResponse:
    """Return a service's answer as a response."""
    if isinstance(answer, StaleSession):
        title = "A newer session has replaced this one; stop this host worker"
        return problem_response(409, title, session=answer.session, alert=answer.alert)
    if isinstance(answer, Gap):
        return problem_response(409, "Events are missing; report from the one after `through`", through=answer.through)
    if isinstance(answer, Refused):
        return refusal_response(answer)
    return json_response(answer)


def json_response(value: BaseModel) -> HttpResponse:
    """Return a message of the protocol as a response."""
    return HttpResponse(value.model_dump_json(), content_type="application/json")


def _on_record(request: HttpRequest, worker: Worker, run: str) -> None:
    actor = hosts.host_actor(worker, request.META.get("REMOTE_ADDR", ""))
    with transaction.atomic():
        audit.record(actor, "host.refused", f"run:{run}", title=f"{worker.name} reported a run of another worker")
