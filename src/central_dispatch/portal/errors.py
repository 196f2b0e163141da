"""What cannot be shown: a page for people, a problem document for hosts and programs."""

from django.http import HttpRequest, HttpResponse

from central_dispatch.portal.pages import errors as pages
from central_dispatch.portal.problem_json import problem_response

_FOR_PROGRAMS = ("/api/", "/host/")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    if request.path.startswith(_FOR_PROGRAMS):
        return problem_response(403, "This is not permitted")
    return pages.forbidden(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    if request.path.startswith(_FOR_PROGRAMS):
        return problem_response(404, "There is nothing at this address")
    return pages.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500."""
    if request.path.startswith(_FOR_PROGRAMS):
        return problem_response(500, "Something went wrong here; the server's log says what")
    return pages.server_error(request)
