"""What is done to jobs: one at its record, many from the list."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.fragments import changed
from central_dispatch.portal.pages.jobs.asked import LABELS, Asked, asked, numbers
from central_dispatch.portal.pages.rendering import say
from central_dispatch.worker_manager import bulk as many
from central_dispatch.worker_manager import services
from central_dispatch.worker_manager.job_search import Wanted

_LONGEST_REASON = 500


def _back(number: int) -> HttpResponse:
    changed()
    return HttpResponseRedirect(reverse("job", args=[number]))


def _why(request: HttpRequest) -> str:
    return request.POST.get("why", "").strip()[:_LONGEST_REASON]


@requires("job.retry")
@require_POST
def retry(request: HttpRequest, number: int) -> HttpResponse:
    """Try a job again, or one that waits for its time now."""
    answer = services.retry(actor_of(request), number)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        done = "It waits for a worker, with all its attempts." if answer == "waiting" else "It is due now."
        messages.success(request, done)
    return _back(number)


@requires("job.interrupt")
@require_POST
def interrupt(request: HttpRequest, number: int) -> HttpResponse:
    """Ask a running job to stop; one that waits ends at once."""
    answer = services.interrupt(actor_of(request), number, _why(request))
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        asked_to = "It was asked to stop. Its state will say what happened."
        messages.success(request, asked_to if answer == "asked" else "It was interrupted before it began.")
    return _back(number)


@requires("job.cancel")
@require_POST
def cancel(request: HttpRequest, number: int) -> HttpResponse:
    """End a job that waits."""
    answer = services.cancel(actor_of(request), number, _why(request))
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, "It was cancelled before it began.")
    return _back(number)


@requires("job.retry")
@require_POST
def retry_many(request: HttpRequest) -> HttpResponse:
    """Try many jobs again, once it was confirmed."""
    return _many(request, "retry")


@requires("job.interrupt")
@require_POST
def interrupt_many(request: HttpRequest) -> HttpResponse:
    """Interrupt many jobs, once it was confirmed."""
    return _many(request, "interrupt")


@requires("job.cancel")
@require_POST
def cancel_many(request: HttpRequest) -> HttpResponse:
    """Cancel many jobs, once it was confirmed."""
    return _many(request, "cancel")


def _many(request: HttpRequest, act: many.Act) -> HttpResponse:
    """Say to how many it would be done, then do it, then say what came of it."""
    ask = asked(QueryDict(request.POST.get("filter", "").lstrip("?")), timezone.now())
    over_all = request.POST.get("over") == "all"
    chosen = () if over_all else numbers(request.POST.getlist("job"))
    back = reverse("jobs") + ask.address()
    if not (over_all or chosen):
        messages.error(request, "Nothing is selected. Tick the jobs first.")
        return HttpResponseRedirect(back)
    if over_all and ask.unread:
        for name in ask.unread:
            messages.error(request, f"{LABELS[name]}: “{ask.values[name]}” cannot be read. Mend this filter first.")
        return HttpResponseRedirect(back)
    wanted = ask.wanted if over_all else Wanted(numbers=chosen)
    values = {
        "act": act,
        "address": reverse(f"jobs-{act}"),
        "over_all": over_all,
        "chosen": chosen,
        "ask": ask,
        "back": back,
        "filter_words": filter_words(ask),
    }
    if request.POST.get("confirm") == "yes":
        return _apply(request, act, wanted, values)
    return render(request, "jobs/bulk.html", {**values, "fitting": many.fitting(act, wanted)})


def _apply(request: HttpRequest, act: many.Act, wanted: Wanted, values: dict[str, Any]) -> HttpResponse:
    after = request.POST.get("after", "0")
    start = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0  # noqa: PLR2004 64 bits
    answer = many.apply(actor_of(request), act, wanted, after=start, why=_why(request))
    changed()
    if isinstance(answer, Refused):
        say(request, answer)
        return HttpResponseRedirect(values["back"])
    if answer.last is not None:
        left = many.fitting(act, wanted)
        return render(request, "jobs/bulk.html", {**values, "fitting": left, "so_far": answer, "why": _why(request)})
    messages.success(request, _sentence(act, answer))
    return HttpResponseRedirect(values["back"])


def _sentence(act: many.Act, answer: many.Bulk) -> str:
    done = {"retry": "tried again", "interrupt": "interrupted", "cancel": "cancelled"}[act]
    parts = [f"{answer.done} {_jobs(answer.done)} {done}."] if answer.done or not answer.asked else []
    if answer.asked:
        parts.append(
            f"{answer.asked} running {_jobs(answer.asked)} asked to stop; their states will say what happened."
        )
    if answer.passed_over:
        why = "another job of the same key waits or runs, or it changed meanwhile" if act == "retry" else "it changed"
        parts.append(f"{answer.passed_over} left alone: {why}.")
    return " ".join(parts)


def _jobs(count: int) -> str:
    return "job" if count == 1 else "jobs"


def filter_words(ask: Asked) -> list[tuple[str, str]]:
    """Return what a filter finds by, for its confirmation: what does not count is not said."""
    counted = ask.values.keys() - ask.idle
    return [(label, ask.values[name].replace("_", " ")) for name, label in LABELS.items() if name in counted]
