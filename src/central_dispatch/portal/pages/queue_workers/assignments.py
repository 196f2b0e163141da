"""Assignments: their form, and their removal."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.queue_workers.forms import AssignmentFields
from central_dispatch.portal.pages.rendering import place_problems, raise_if_hidden, say, summary_of
from central_dispatch.worker_manager import assignments as services
from central_dispatch.worker_manager.models import Assignment


@requires("assignment.change")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make an assignment."""
    return _form(request, None)


@requires("assignment.change")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """Change an assignment; its workers follow within a second."""
    found = Assignment.objects.filter(pk=name).first()
    if found is None:
        raise Http404
    return _form(request, found)


def _form(request: HttpRequest, of: Assignment | None) -> HttpResponse:
    form = AssignmentFields(request.POST if request.method == "POST" else None, of=of)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        if of is None and Assignment.objects.filter(pk=given["name"]).exists():
            form.add_error("name", "There is an assignment of this name already.")
        else:
            values = {name: given[name] for name in ("queues", "slots", "host")}
            answer = services.put(actor_of(request), given["name"], **values)
            if not isinstance(answer, Refused):
                messages.success(request, f"The assignment {answer.name} was saved. Its workers follow at once.")
                return HttpResponseRedirect(reverse("queue-workers"))
            raise_if_hidden(answer)
            place_problems(form, answer.problems)
    values = {"form": form, "of": of, "summary": summary_of(form)}
    return render(request, "queue_workers/assignment.html", values, status=422 if form.errors else 200)


@requires("assignment.change")
@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Remove an assignment that nobody follows."""
    answer = services.remove(actor_of(request), name)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, f"The assignment {name} was removed.")
    return HttpResponseRedirect(reverse("queue-workers"))
