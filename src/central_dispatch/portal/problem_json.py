"""Problems on the wire (RFC 9457), the same for hosts and for the public API."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse, JsonResponse

from central_dispatch.fleet.refusal import Refused
from central_dispatch.provisioning.problem import Problem

_STATUS = {"invalid": 422, "conflict": 409, "forbidden": 403, "absent": 404}


def problem_document(status: int, title: str, problems: Iterable[Problem] = (), **further: object) -> dict[str, Any]:
    """Return the document: `title` for people, `problems` each with what, why, mend and field."""
    listed = [problem.to_json() for problem in problems]
    return {"type": "about:blank", "status": status, "title": title, "problems": listed, **further}


def problem_response(status: int, title: str, problems: Iterable[Problem] = (), **further: object) -> HttpResponse:
    """Return the document as a response."""
    document = problem_document(status, title, problems, **further)
    return JsonResponse(document, status=status, content_type="application/problem+json")


def status_of(refused: Refused) -> int:
    """Return the HTTP status that says the same as a refusal."""
    return _STATUS[refused.kind]


def refusal_response(refused: Refused) -> HttpResponse:
    """Return a refusal as a response; `run` is the run under way where that is the reason."""
    further = {"run": refused.run} if refused.run else {}
    return problem_response(status_of(refused), str(refused.problems[0]), refused.problems, **further)
