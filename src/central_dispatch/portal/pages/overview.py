"""The first page: what needs a person, what is being done, who is online."""

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from central_dispatch.fleet import queries
from central_dispatch.fleet.models import Instance, Worker
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.rendering import show
from central_dispatch.portal.pages.states import INSTANCE_ORDER

#: Failures that the page lists; the rest is behind the figures.
FAILURES_SHOWN = 20
RUNS_SHOWN = 20


@requires("fleet.view")
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show the fleet at a glance, failures first."""
    workers = list(with_counts(queries.workers()))
    now = timezone.now()
    failing = queries.instances().filter(state__in=[Instance.State.STUCK, Instance.State.IN_ERROR])
    return show(
        request,
        "overview.html",
        "parts/overview.html",
        {
            "workers": workers,
            "online": sum(worker.is_online(now) for worker in workers),
            "alerted": [worker for worker in workers if worker.alert],
            "counts": counts_by_state(),
            "failing": failing.order_by("-state", "-changed_at")[:FAILURES_SHOWN],
            "open_runs": queries.runs(open_only=True)[:RUNS_SHOWN],
            "usable": queries.usable_workers(actor_of(request)).exists(),
        },
    )


def with_counts(workers: QuerySet[Worker]) -> QuerySet[Worker]:
    """Return the workers with `instance_count`: instances that were not deleted."""
    return workers.annotate(instance_count=Count("instances", filter=~Q(instances__state=Instance.State.DELETED)))


def counts_by_state() -> list[dict[str, object]]:
    """Return how many instances are in each state, in the order in which they need a person."""
    rows = dict(Instance.objects.order_by().values_list("state").annotate(Count("pk")))
    always = {Instance.State.ACTIVE.value, Instance.State.IN_ERROR.value}
    return [
        {"state": state, "count": rows.get(state, 0)} for state in INSTANCE_ORDER if rows.get(state) or state in always
    ]


@requires("settings.view")
@require_safe
def settings_menu(request: HttpRequest) -> HttpResponse:
    """Show what can be set."""
    return render(request, "settings.html")
