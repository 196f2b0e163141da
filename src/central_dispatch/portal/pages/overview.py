"""The first page: what needs a person, what is being done, who is online."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from central_dispatch.fleet import queries
from central_dispatch.fleet.models import Instance, Worker
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.charts import bars
from central_dispatch.portal.pages.fragments import show_shared
from central_dispatch.portal.pages.states import INSTANCE_ORDER
from central_dispatch.worker_manager import counts
from central_dispatch.worker_manager.models import Job
from central_dispatch.worker_manager.queue_lines import lines
from central_dispatch.worker_manager.queue_workers import queue_workers
from central_dispatch.worker_manager.rates import chart

#: Failures that the page lists; the rest is behind the figures.
FAILURES_SHOWN = 20
RUNS_SHOWN = 20
JOBS_SHOWN = 10
QUEUES_SHOWN = 8


@requires("fleet.view")
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show the fleet at a glance, failures first."""
    return show_shared(request, "overview.html", "parts/overview.html", lambda: _overview(request), by_person=True)


def _overview(request: HttpRequest) -> dict[str, Any]:
    workers = list(with_counts(queries.workers()))
    now = timezone.now()
    failing = queries.instances().filter(state__in=[Instance.State.STUCK, Instance.State.IN_ERROR])
    return {
        "workers": workers,
        "online": sum(worker.is_online(now) for worker in workers),
        "alerted": [worker for worker in workers if worker.alert],
        "instance_counts": counts_by_state(),
        "failing": failing.order_by("-state", "-changed_at")[:FAILURES_SHOWN],
        **_worker_manager(now),
        "open_runs": queries.runs(open_only=True)[:RUNS_SHOWN],
        "usable": queries.usable_workers(actor_of(request)).exists(),
    }


def _worker_manager(now: datetime) -> dict[str, Any]:
    """Return what the page shows of queues and jobs: what failed in the last day, then how much there is."""
    queue_lines = lines()
    workers = queue_workers()
    busiest = [line for line in queue_lines if line.needs_you or line.counts.running or line.counts.waiting]
    return {
        "failed_jobs": failed_lately(now),
        "in_error": counts.current().state("in_error"),
        "waiting": counts.current().state("waiting"),
        "running": counts.current().state("running"),
        "rate": sum(line.rate.per_minute for line in queue_lines),
        "queues": [{"line": line, "age": line.age(now)} for line in busiest[:QUEUES_SHOWN]],
        "more_queues": max(0, len(busiest) - QUEUES_SHOWN),
        "queue_workers": workers,
        "queue_workers_online": sum(one.state(now) == "online" for one in workers),
        "chart": bars(chart(now, timedelta(hours=1), 24), "Executions in the last 24 hours, by hour"),
    }


def failed_lately(now: datetime) -> list[Job]:
    """Return the jobs that failed for good in the last day, the latest first."""
    # By when they expire, for which there is an index: of one queue that is the order in which they failed.
    rows = Job.objects.extra(where=["state = 'in_error'"]).exclude(expires_at=None).order_by("-expires_at")
    return [job for job in rows[:JOBS_SHOWN] if job.ended_at is not None and now - job.ended_at < timedelta(days=1)]


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
