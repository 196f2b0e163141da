"""How the queue workers that run are shown. Imports Django's side."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rich.table import Table

from central_dispatch.cli import screen
from central_dispatch.jobs.kinds import KINDS
from central_dispatch.worker_manager.queue_workers import queue_workers as found

EMPTY = "There is no queue worker: central-dispatch worker execute"


def views() -> list[dict[str, Any]]:
    """Return the queue workers as `--json` prints them. `state`: online, or away: no beat for 30 s."""
    now = timezone.now()
    return [
        {
            "kind": "queue",
            "name": one.parent.assignment,
            "host": one.parent.host,
            "pid": one.parent.pid,
            "state": one.state(now),
            "queues": one.parent.queues,
            "slots": one.parent.slots,
            "busy": one.busy,
            "version": one.parent.version,
            "started_at": one.parent.started_at,
            "beat_at": one.parent.beat_at,
            "jobs": [job.pk for job in one.jobs],
            "id": one.parent.pk,
        }
        for one in found()
    ]


def table(views: Sequence[dict[str, Any]]) -> Table:
    """Return the table for people."""
    shown = [
        one
        | {
            "where": f"{one['host']}:{one['pid']}",
            "name": one["name"] or "(none)",
            "doing": f"{one['busy']} of {one['slots']}",
            "queues": "all" if set(one["queues"]) >= set(KINDS) else one["queues"],
        }
        for one in views
    ]
    columns = {"where": "Queue worker", "name": "Assignment", "state": "State", "doing": "Jobs"}
    return screen.table(
        shown, columns | {"queues": "Queues", "version": "Version", "beat_at": "Last beat"}, ("queues",)
    )
