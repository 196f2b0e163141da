"""Queues: what is in each, and what is done to all that is in one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.charts import bars
from central_dispatch.portal.pages.fragments import changed, show_shared
from central_dispatch.portal.pages.rendering import say, show
from central_dispatch.worker_manager import services
from central_dispatch.worker_manager.bells import broker
from central_dispatch.worker_manager.job_search import Wanted, find
from central_dispatch.worker_manager.queue_lines import QueueLine, line, lines
from central_dispatch.worker_manager.rates import chart

_ACTS = ("pause", "requeue", "change", "purge", "delete")
#: Failures that a queue's page lists.
_FAILED_SHOWN = 10


@requires("jobs.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the queues, failures first; none is hidden."""
    return show_shared(request, "queues/list.html", "queues/_list.html", lambda: _listed(request))


def _listed(request: HttpRequest) -> dict[str, Any]:
    now = timezone.now()
    found = lines()
    return {
        "lines": [{"line": one, "age": one.age(now)} for one in found],
        "broker_problem": broker().problem(),
        "failed": sum(one.counts.in_error for one in found),
        "may": _permitted(request),
    }


@requires("jobs.view")
@require_safe
def detail(request: HttpRequest, name: str) -> HttpResponse:
    """Show one queue: how it fared in the last day, what failed last, what may be done."""
    now = timezone.now()
    one = _line(name)
    failed = find(Wanted(state="in_error", queue=name), size=_FAILED_SHOWN) if one.counts.in_error else None
    values = {
        "line": one,
        "age": one.age(now),
        "chart": bars(chart(now, timedelta(hours=1), 24, name), f"Executions of {name} in the last 24 hours, by hour"),
        "failed": failed.jobs if failed else [],
        "may": _permitted(request),
    }
    return show(request, "queues/detail.html", "queues/_detail.html", values)


def _line(name: str) -> QueueLine:
    found = line(name)
    if found is None:
        raise Http404
    return found


def _permitted(request: HttpRequest) -> set[str]:
    actor = actor_of(request)
    return {act for act in _ACTS if may(actor, f"queue.{act}")}


def _to(request: HttpRequest, name: str) -> HttpResponse:
    changed()
    back = reverse("queues") if request.POST.get("back") == "queues" else reverse("queue", args=[name])
    return HttpResponseRedirect(back)


def _turn(
    request: HttpRequest, name: str, act: Callable[[Actor, str], QueueSettings | Refused], done: str
) -> HttpResponse:
    answer = act(actor_of(request), name)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, done)
    return _to(request, name)


@requires("queue.pause")
@require_POST
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Let no further job of the queue begin."""
    return _turn(request, name, services.pause, f"{name} is paused. Its jobs that run go on; no other one begins.")


@requires("queue.pause")
@require_POST
def resume(request: HttpRequest, name: str) -> HttpResponse:
    """Let its jobs begin again."""
    return _turn(request, name, services.resume, f"{name} goes on.")


@dataclass(frozen=True, slots=True)
class _Whole:
    """An act on all of a queue, and its words."""

    title: str
    button: str
    warning: str
    done: str
    act: Callable[[Actor, str], int | Refused]
    count: Callable[[QueueLine], int]
    grave: bool = True


_PURGE = _Whole(
    "Purge {}",
    "End {} waiting jobs",
    "All that waits in this queue is interrupted. Jobs that run go on, dead letters stay. "
    "An interrupted job can be tried again until housekeeping removes it.",
    "{} waiting jobs were ended.",
    services.purge,
    lambda line: line.counts.waiting,
)
_DELETE = _Whole(
    "Delete {}",
    "End {} jobs",
    "All that waits in this queue is interrupted, and its dead letters are given up: they become interrupted ones. "
    "Jobs that run go on. The queue itself stays, as its kind does.",
    "{} jobs were ended.",
    services.delete,
    lambda line: line.counts.waiting + line.counts.in_error,
)
_REQUEUE = _Whole(
    "Requeue what failed in {}",
    "Retry {} failed jobs",
    "Every dead letter of this queue is tried again, with all its attempts. One whose unique key is held by another "
    "job stays as it is.",
    "{} failed jobs wait for a worker again.",
    services.requeue_failed,
    lambda line: line.counts.in_error,
    grave=False,
)


def _confirmed(request: HttpRequest, name: str, whole: _Whole) -> HttpResponse:
    found = _line(name)
    if request.method == "POST":
        answer = whole.act(actor_of(request), name)
        if isinstance(answer, Refused):
            say(request, answer)
        else:
            messages.success(request, whole.done.format(f"{answer:,}"))
        return _to(request, name)
    count = whole.count(found)
    values: dict[str, Any] = {
        "line": found,
        "title": whole.title.format(name),
        "button": whole.button.format(f"{count:,}"),
        "warning": whole.warning,
        "count": count,
        "grave": whole.grave,
    }
    return render(request, "queues/confirm.html", values)


@requires("queue.purge")
@require_http_methods(["GET", "HEAD", "POST"])
def purge(request: HttpRequest, name: str) -> HttpResponse:
    """End all that waits, once it was confirmed."""
    return _confirmed(request, name, _PURGE)


@requires("queue.delete")
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, name: str) -> HttpResponse:
    """End all that waits and give the dead letters up, once it was confirmed."""
    return _confirmed(request, name, _DELETE)


@requires("queue.requeue")
@require_http_methods(["GET", "HEAD", "POST"])
def requeue(request: HttpRequest, name: str) -> HttpResponse:
    """Try all dead letters again, once it was confirmed."""
    return _confirmed(request, name, _REQUEUE)
