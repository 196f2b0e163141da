"""The API as a whole: its routers, its errors, its document."""

import logging
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from central_dispatch import __version__
from central_dispatch.portal.access import requires
from central_dispatch.portal.api import instances, jobs, queues, runs, workers
from central_dispatch.portal.api.access import Closed, Needs
from central_dispatch.portal.api.answers import RefusedError
from central_dispatch.portal.problem_json import problem_response, refusal_response
from central_dispatch.provisioning.problem import Problem

_log = logging.getLogger(__name__)
_PLACES = {"body", "query", "path", "form", "wanted", "paging"}

api = NinjaAPI(
    title="Central Dispatch",
    version=__version__,
    description="Runs managed instances on a fleet of hosts. Errors are problem documents (RFC 9457).",
    urls_namespace="api",
    openapi_url=None,
    docs_url=None,
    auth=Closed(),
)
api.add_router("/workers", workers.router)
api.add_router("/instances", instances.router)
api.add_router("/runs", runs.router)
api.add_router("/jobs", jobs.router)
api.add_router("/queues", queues.router)


@api.get("/openapi.json", auth=Needs("fleet.view"), include_in_schema=False, url_name="openapi")
def openapi(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001 ninja passes it
    """Return the API's own description (OpenAPI 3.1)."""
    return dict(api.get_openapi_schema(path_prefix="/api/v1/"))


@api.exception_handler(RefusedError)
def refused(_request: HttpRequest, error: RefusedError) -> HttpResponse:
    """Answer with a service's refusal."""
    return refusal_response(error.refused)


@api.exception_handler(ValidationError)
def malformed(_request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Say what is wrong with the request, field by field."""
    problems = [Problem(item["msg"], field=_field(item.get("loc", ()))) for item in error.errors]
    return problem_response(422, "The request is malformed", problems)


@api.exception_handler(AuthenticationError)
def unknown(_request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    """Ask for credentials."""
    response = problem_response(401, "Log in, or send an API token as `Authorization: Bearer …`")
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(HttpError)
def http_error(_request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer as the code that raised it wants."""
    return problem_response(error.status_code, str(error))


@api.exception_handler(Http404)
def not_found(_request: HttpRequest, _error: Http404) -> HttpResponse:
    """Say that there is nothing."""
    return problem_response(404, "There is nothing at this address")


@api.exception_handler(Exception)
def surprise(_request: HttpRequest, error: Exception) -> HttpResponse:
    """Keep what went wrong in the log, and tell the caller only that."""
    _log.error("the API failed", exc_info=error)
    return problem_response(500, "Something went wrong here; the server's log says what")


def _field(location: tuple[object, ...]) -> str:
    parts = [str(part) for part in location]
    while parts and parts[0] in _PLACES:
        parts.pop(0)
    return ".".join(parts)


patterns, _app_name, namespace = api.urls
for pattern in patterns:
    # Each endpoint declares its act itself; the middleware leaves the decision to it.
    if pattern.callback is not None:
        requires("own")(pattern.callback)
