"""The queue workers: who runs, how busy each is, and with what."""

from collections import Counter
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from central_dispatch.fleet import queries
from central_dispatch.jobs.kinds import KINDS
from central_dispatch.portal.access import requires
from central_dispatch.portal.pages.fragments import show_shared
from central_dispatch.portal.pages.overview import with_counts
from central_dispatch.portal.pages.rendering import show
from central_dispatch.worker_manager.models import Assignment
from central_dispatch.worker_manager.queue_workers import QueueWorker, queue_worker, queue_workers


@requires("jobs.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the queue workers and the host workers."""
    return show_shared(request, "queue_workers/list.html", "queue_workers/_list.html", _listed)


def _listed() -> dict[str, Any]:
    now = timezone.now()
    found = queue_workers()
    served = {queue for one in found for queue in one.parent.queues}
    return {
        "queue_workers": [{"one": one, "state": one.state(now)} for one in found],
        "slots": sum(one.parent.slots for one in found),
        "busy": sum(one.busy for one in found),
        "unserved": sorted(set(KINDS) - served) if found else [],
        "assignments": _assignments(found),
        "workers": with_counts(queries.workers()),
    }


def _assignments(found: list[QueueWorker]) -> list[dict[str, object]]:
    """Return the assignments, each with how many queue workers follow it now."""
    followers = Counter(one.parent.assignment for one in found)
    return [{"assignment": one, "followers": followers[one.name]} for one in Assignment.objects.order_by("name")]


@requires("jobs.view")
@require_safe
def detail(request: HttpRequest, key: str) -> HttpResponse:
    """Show one queue worker with all that it does now."""
    one = queue_worker(key)
    if one is None:
        raise Http404
    values = {"one": one, "state": one.state(timezone.now())}
    return show(request, "queue_workers/detail.html", "queue_workers/_detail.html", values)
