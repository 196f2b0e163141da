"""Schedules: the timetable, run now, on and off, and their form."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.rendering import place_problems, raise_if_hidden, say, show, summary_of
from central_dispatch.portal.pages.schedules.forms import ScheduleFields
from central_dispatch.worker_manager import schedules as services
from central_dispatch.worker_manager.models import Schedule
from central_dispatch.worker_manager.timetable import schedule, timetable


@requires("jobs.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """Show what runs by itself: when it did last, when it does next."""
    actor = actor_of(request)
    values = {
        "rows": timetable(),
        "may": {act for act in ("change", "switch", "run") if may(actor, f"schedule.{act}")},
        "may_set_queue": may(actor, "queue.change"),
    }
    return show(request, "schedules/list.html", "schedules/_list.html", values)


def _find(name: str) -> Schedule:
    found = schedule(name)
    if found is None:
        raise Http404
    return found


@requires("schedule.change")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a schedule."""
    return _form(request, None)


@requires("schedule.change")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """Change a schedule."""
    return _form(request, _find(name))


def _form(request: HttpRequest, of: Schedule | None) -> HttpResponse:
    form = ScheduleFields(request.POST if request.method == "POST" else None, of=of)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        if of is None and schedule(given["name"]) is not None:
            form.add_error("name", "There is a schedule of this name already.")
        elif (answer := _put(request, given)) is not None:
            raise_if_hidden(answer)
            place_problems(form, answer.problems)
        else:
            messages.success(request, f"The schedule {given['name']} was saved.")
            return HttpResponseRedirect(reverse("schedules"))
    values = {"form": form, "of": of, "summary": summary_of(form)}
    return render(request, "schedules/form.html", values, status=422 if form.errors else 200)


def _put(request: HttpRequest, given: dict[str, object]) -> Refused | None:
    answer = services.put(
        actor_of(request),
        str(given["name"]),
        str(given["queue"]),
        str(given["expression"]),
        zone=str(given["zone"] or "UTC"),
        payload=given["payload"],  # type: ignore[arg-type] # the form made it a mapping
        priority=given["priority"],  # type: ignore[arg-type] # and this a number
    )
    return answer if isinstance(answer, Refused) else None


@requires("schedule.run")
@require_POST
def run(request: HttpRequest, name: str) -> HttpResponse:
    """Make its job at once, and go where it can be watched."""
    answer = services.run_now(actor_of(request), name)
    if isinstance(answer, Refused):
        say(request, answer)
        return HttpResponseRedirect(reverse("schedules"))
    return HttpResponseRedirect(reverse("job", args=[answer]))


@requires("schedule.switch")
@require_POST
def switch(request: HttpRequest, name: str) -> HttpResponse:
    """Switch it on or off."""
    on = request.POST.get("on") == "yes"
    answer = services.switch(actor_of(request), name, on=on)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, f"{name} is {'on' if on else 'off'}.")
    return HttpResponseRedirect(reverse("schedules"))


@requires("schedule.change")
@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Remove it."""
    answer = services.remove(actor_of(request), name)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, f"The schedule {name} was removed. A job of it that waits or runs goes on.")
    return HttpResponseRedirect(reverse("schedules"))
