"""Endpoints of queues."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Body, Router, Schema

from central_dispatch.fleet.refusal import absent
from central_dispatch.portal.api.access import Needs, caller
from central_dispatch.portal.api.answers import PROBLEMS, done
from central_dispatch.portal.pages.fragments import changed
from central_dispatch.worker_manager import services
from central_dispatch.worker_manager.queue_lines import QueueLine, line, lines

router = Router(tags=["queues"])


class QueueOut(Schema):
    """A queue: what is in it, how fast it moves, its settings. `state`: open, paused, unserved, or idle (no worker)."""

    name: str
    state: str
    ready: int
    running: int
    retrying: int
    deferred: int
    later: int
    in_error: int
    workers: int
    per_minute: float
    oldest_ready: datetime | None
    settings: dict[str, Any]


class Count(Schema):
    """How many jobs it was done to."""

    jobs: int


def _out(one: QueueLine) -> QueueOut:
    names = ("ready", "running", "retrying", "deferred", "later", "in_error", "oldest_ready")
    return QueueOut(
        name=one.name,
        state=one.state,
        workers=one.workers,
        per_minute=one.rate.per_minute,
        settings=asdict(one.settings),
        **{name: getattr(one.counts, name) for name in names},
    )


def _found(name: str) -> QueueOut:
    return _out(done(line(name) or absent("queue")))


@router.get("", auth=Needs("jobs.view"), response={200: list[QueueOut], **PROBLEMS})
def list_queues(request: HttpRequest) -> list[QueueOut]:  # noqa: ARG001 ninja passes it
    """List the queues, those with failures first."""
    return [_out(one) for one in lines()]


@router.get("/{name}", auth=Needs("jobs.view"), response={200: QueueOut, **PROBLEMS})
def show_queue(request: HttpRequest, name: str) -> QueueOut:  # noqa: ARG001 ninja passes it
    """Show a queue."""
    return _found(name)


@router.patch("/{name}/settings", auth=Needs("queue.change"), response={200: QueueOut, **PROBLEMS})
def change_queue(request: HttpRequest, name: str, body: Body[dict[str, Any]]) -> QueueOut:
    """Change some of its settings, named as `GET queues/{name}` names them; they hold within a second."""
    done(services.change_settings(caller(request), name, body))
    return _found(name)


@router.post("/{name}/pause", auth=Needs("queue.pause"), response={200: QueueOut, **PROBLEMS})
def pause_queue(request: HttpRequest, name: str) -> QueueOut:
    """Let no further job of it begin."""
    done(services.pause(caller(request), name))
    return _found(name)


@router.post("/{name}/resume", auth=Needs("queue.pause"), response={200: QueueOut, **PROBLEMS})
def resume_queue(request: HttpRequest, name: str) -> QueueOut:
    """Let its jobs begin again."""
    done(services.resume(caller(request), name))
    return _found(name)


@router.post("/{name}/requeue-failed", auth=Needs("queue.requeue"), response={200: Count, **PROBLEMS})
def requeue_failed(request: HttpRequest, name: str) -> Count:
    """Have all its dead letters tried again."""
    return _counted(done(services.requeue_failed(caller(request), name)))


@router.post("/{name}/purge", auth=Needs("queue.purge"), response={200: Count, **PROBLEMS})
def purge_queue(request: HttpRequest, name: str) -> Count:
    """End all that waits in it."""
    return _counted(done(services.purge(caller(request), name)))


def _counted(number: int) -> Count:
    changed()
    return Count(jobs=number)
