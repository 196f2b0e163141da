"""Batches: the list, one with how far it is, and what is done to the whole of it."""

from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.fragments import changed
from central_dispatch.portal.pages.paging import paged
from central_dispatch.portal.pages.rendering import say, show
from central_dispatch.worker_manager import batches

_LARGEST = 2**63 - 1


@requires("jobs.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the batches, newest first, each with how far it is."""
    pages = paged(request, batches.all_batches(), size=20)
    values = {"paged": pages, "rows": [batches.progress(batch) for batch in pages.page.object_list]}
    return show(request, "batches/list.html", "batches/_list.html", values)


@requires("jobs.view")
@require_safe
def detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show a batch: how far it is, how long it will take, what failed first."""
    batch = batches.find(min(number, _LARGEST))
    if batch is None:
        raise Http404
    found = batches.progress(batch)
    left = found.left_s
    actor = actor_of(request)
    values = {
        "batch": batch,
        "progress": found,
        "left": timedelta(seconds=left) if left is not None else None,
        "open": found.counts.waiting + found.counts.running > 0 or found.splitting,
        "may": {act for act in ("retry", "cancel", "interrupt") if may(actor, f"job.{act}")},
    }
    return show(request, "batches/detail.html", "batches/_detail.html", values)


def _answer(request: HttpRequest, number: int, answer: int | Refused, done: str) -> HttpResponse:
    changed()
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, done.format(f"{answer:,}"))
    return HttpResponseRedirect(reverse("batch", args=[number]))


@requires("job.retry")
@require_POST
def retry(request: HttpRequest, number: int) -> HttpResponse:
    """Try again what failed of it, and what was interrupted of it where that is wished."""
    interrupted = request.POST.get("interrupted") == "on"
    answer = batches.retry_failed(actor_of(request), min(number, _LARGEST), interrupted=interrupted)
    return _answer(request, number, answer, "{} jobs wait for a worker again.")


@requires("job.cancel")
@require_POST
def cancel(request: HttpRequest, number: int) -> HttpResponse:
    """End what waits of it."""
    answer = batches.cancel(actor_of(request), min(number, _LARGEST))
    return _answer(request, number, answer, "{} waiting jobs were ended; those that run go on.")


@requires("job.interrupt")
@require_POST
def interrupt(request: HttpRequest, number: int) -> HttpResponse:
    """End the whole of it."""
    answer = batches.interrupt(actor_of(request), min(number, _LARGEST))
    return _answer(request, number, answer, "{} jobs were ended or asked to stop.")
