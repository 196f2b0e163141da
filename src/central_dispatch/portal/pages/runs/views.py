"""Runs: the list, the live page, and what an administrator may wish of a run."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from central_dispatch.fleet import queries
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.models import Run, RunStep
from central_dispatch.fleet.refusal import Refused
from central_dispatch.fleet.services import runs as services
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.paging import paged
from central_dispatch.portal.pages.rendering import say, show
from central_dispatch.portal.pages.runs.steps import Shown, back_out_steps, shown_steps
from central_dispatch.portal.pages.states import look_of

#: Journal lines that the page lists.
EVENTS_SHOWN = 500


def find(run_id: str) -> Run:
    """Return the run with its steps, or raise 404."""
    run = queries.run(run_id)
    if run is None:
        raise Http404
    return run


@requires("fleet.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the runs, newest first."""
    worker = request.GET.get("worker", "")
    open_only = request.GET.get("open") == "1"
    values = {
        "paged": paged(request, queries.runs(worker=worker, open_only=open_only)),
        "workers": queries.workers(revoked=True),
        "chosen_worker": worker,
        "open_only": open_only,
    }
    return show(request, "runs/list.html", "runs/_list.html", values)


@requires("fleet.view")
@require_safe
def detail(request: HttpRequest, run_id: str) -> HttpResponse:
    """Show a run as it happens."""
    run = find(run_id)
    actor = actor_of(request)
    steps = shown_steps(run, list(run.steps.all()))
    online = run.worker.is_online(timezone.now())
    values = {
        "run": run,
        "title": f"{look_of('run', run.state).word}: {run.kind} {run.instance.name}",
        "actions": queries.allowed_run_actions(actor, run),
        "instance_actions": queries.allowed_actions(actor, run.instance),
        "events": run.events.all()[:EVENTS_SHOWN],
        "online": online,
        **_story(run, steps, online=online),
    }
    return show(request, "runs/detail.html", "runs/_detail.html", values)


def _story(run: Run, steps: list[Shown], *, online: bool) -> dict[str, Any]:
    back_out = back_out_steps(steps)
    stuck = [step for step in steps if run.state == Run.State.STUCK and step.row.state == RunStep.State.STUCK]
    away = run.is_open and not online
    wished = run.wish == Run.Wish.BACK_OUT and run.state == Run.State.RUNNING
    return {
        "steps": steps,
        "back_out": back_out,
        "tail": sum(step.row.part == RunStep.Part.TAIL for step in steps),
        "total": 0 if run.is_look else len(steps),
        "done": sum(step.row.state == RunStep.State.DONE for step in steps),
        "undone": sum(step.row.state == RunStep.State.UNDONE for step in back_out),
        "committed": run.committed_at is not None,
        "stuck": stuck,
        "show_problem": run.problem is not None and all(step.row.problem != run.problem for step in stuck),
        "residue": [
            step for step in reversed(steps) if step.row.state in {"stuck", "undoing", "done", "open", "failed"}
        ]
        if run.state == Run.State.STUCK
        else [],
        "notices": bool(run.problem or run.problems or run.waiting or run.left or away or wished)
        or run.state == Run.State.STUCK,
        "problem_head": _head(run),
        "announcement": _announcement(run, steps),
    }


def _head(run: Run) -> str:
    return {
        Run.State.REFUSED.value: "The host refused it; nothing was changed",
        Run.State.LOST.value: "The run is lost",
        Run.State.STUCK.value: "Why it was backed out",
    }.get(run.state, "")


def _announcement(run: Run, steps: list[Shown]) -> str:
    """Return the one sentence that a screen reader says when the run moves on."""
    current = next((step for step in steps if step.is_current), None)
    word = look_of("run", run.state).word
    if current is None:
        return f"The run is {word}."
    return f"The run is {word}: {current.row.title} {look_of('step', current.row.state).word}."


def _act(request: HttpRequest, run_id: str, act: Callable[[Actor, str], Run | Refused], done: str) -> HttpResponse:
    answer = act(actor_of(request), run_id)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, done)
    return HttpResponseRedirect(reverse("run", args=[run_id]))


@requires("run.back_out")
@require_POST
def back_out(request: HttpRequest, run_id: str) -> HttpResponse:
    """Have the run turn round."""
    return _act(request, run_id, services.back_out, "The back-out was asked for.")


@requires("run.retry")
@require_POST
def retry(request: HttpRequest, run_id: str) -> HttpResponse:
    """Have a stuck run try again."""
    return _act(request, run_id, services.retry_stuck, "The host tries again.")


@requires("run.acknowledge")
@require_POST
def acknowledge(request: HttpRequest, run_id: str) -> HttpResponse:
    """Take over what a run is stuck at."""
    return _act(request, run_id, services.acknowledge, "You took the residue over; the run goes on with the rest.")
