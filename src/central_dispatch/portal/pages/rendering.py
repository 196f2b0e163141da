"""Answers of the pages: whole, or the one part that a live page asked for; and refusals at their form's fields."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_cache_control, patch_vary_headers

from central_dispatch.fleet.refusal import Refused
from central_dispatch.provisioning.problem import Problem


def is_part(request: HttpRequest) -> bool:
    """Say whether htmx asks, which wants a part of the page."""
    return request.headers.get("HX-Request") == "true"


def show(request: HttpRequest, page: str, part: str, values: dict[str, Any], status: int = 200) -> HttpResponse:
    """Render `part` for htmx and `page`, which includes it, for everybody else. Never cached: it is about now."""
    response = render(request, part if is_part(request) else page, values, status=status)
    patch_cache_control(response, no_store=True, private=True)
    patch_vary_headers(response, ("HX-Request",))
    return response


def go(request: HttpRequest, address: str) -> HttpResponse:
    """Send the browser to another page, after a form."""
    if is_part(request):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def raise_if_hidden(refused: Refused) -> None:
    """Turn a refusal that no form could mend into its page: 403 or 404."""
    if refused.kind == "forbidden":
        raise PermissionDenied(str(refused.problems[0]) if refused.problems else "")
    if refused.kind == "absent":
        raise Http404(str(refused.problems[0]) if refused.problems else "")


def say(request: HttpRequest, refused: Refused) -> None:
    """Show a refusal on the next page, for actions that have no form of their own."""
    raise_if_hidden(refused)
    for problem in refused.problems:
        messages.error(request, sentence(problem))


def sentence(problem: Problem) -> str:
    """Return a problem as text for one field: what is wrong, why, and what to do."""
    parts = [f"{problem.what.rstrip('.')}: {problem.why}" if problem.why else problem.what, problem.mend]
    return " ".join(f"{part.rstrip('.')}." for part in parts if part)


def place_problems(form: forms.Form, problems: Sequence[Problem]) -> None:
    """Put each problem at its field; what names no field of the form goes to the summary alone."""
    for problem in problems:
        name = problem.field.split(".")[0].split("[")[0]
        form.add_error(name if name in form.fields else None, sentence(problem))


def summary_of(form: forms.Form) -> list[dict[str, str]]:
    """Return every error with its field's label and id, in the form's order, for the summary above it."""
    found = []
    places = list(form.fields)
    for name, errors in sorted(
        form.errors.items(), key=lambda item: places.index(item[0]) if item[0] in places else -1
    ):
        bound = form[name] if name in form.fields else None
        place = {"id": bound.auto_id, "label": str(bound.label)} if bound else {"id": "", "label": ""}
        found += [{**place, "error": str(error)} for error in errors]
    return found
