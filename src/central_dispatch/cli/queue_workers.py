"""How the queue workers that run are shown. Imports Django's side."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone
from rich.table import Table

from central_dispatch.cli import screen
from central_dispatch.jobs.kinds import KINDS
from central_dispatch.worker_manager import queries

EMPTY = "There is no queue worker: central-dispatch worker execute"
#: A worker beats every 5 s; after so much silence others take its jobs, if the silence lasts where they look.
_SILENT = timedelta(seconds=30)


def views() -> list[dict[str, Any]]:
    """Return the queue workers as `--json` prints them. `state`: working, idle, or silent: no beat for 30 s."""
    busy, now = queries.running_of(), timezone.now()
    return [
        {
            "kind": "queue",
            "name": one.assignment,
            "host": one.host,
            "pid": one.pid,
            "state": "silent" if now - one.beat_at > _SILENT else "working" if busy.get(one.id) else "idle",
            "queues": one.queues,
            "slots": one.slots,
            "busy": busy.get(one.id, 0),
            "version": one.version,
            "started_at": one.started_at,
            "beat_at": one.beat_at,
            "id": one.id,
        }
        for one in queries.parents()
    ]


def table(found: Sequence[dict[str, Any]]) -> Table:
    """Return the table for people."""
    shown = [
        one
        | {
            "where": f"{one['host']}:{one['pid']}",
            "name": one["name"] or "(none)",
            "jobs": f"{one['busy']} of {one['slots']}",
            "queues": "all" if set(one["queues"]) >= set(KINDS) else one["queues"],
        }
        for one in found
    ]
    columns = {"where": "Queue worker", "name": "Assignment", "state": "State", "jobs": "Jobs"}
    return screen.table(
        shown, columns | {"queues": "Queues", "version": "Version", "beat_at": "Last beat"}, ("queues",)
    )
