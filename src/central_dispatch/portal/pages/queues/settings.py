"""Worker Manager → General settings: each queue's, validated, effective at once."""

from dataclasses import fields

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused
from central_dispatch.jobs.kinds import KINDS, Kind
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.queues.forms import SettingsForm, setting_of, words
from central_dispatch.portal.pages.rendering import place_problems, raise_if_hidden, show, summary_of
from central_dispatch.worker_manager import job_record, services


@requires("jobs.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the settings of every queue; what was changed stands out."""
    rows = [_row(kind, job_record.settings(kind.name)) for kind in sorted(KINDS.values(), key=lambda one: one.name)]
    values = {"rows": rows, "may_change": may(actor_of(request), "queue.change")}
    return show(request, "queues/settings.html", "queues/_settings.html", values)


def _row(kind: Kind, now: QueueSettings) -> dict[str, object]:
    values = [
        {
            "label": setting_of(field.name).label,
            "words": words(field.name, getattr(now, field.name)),
            "default": words(field.name, getattr(kind.defaults, field.name)),
            "changed": getattr(now, field.name) != getattr(kind.defaults, field.name),
        }
        for field in fields(QueueSettings)
    ]
    return {"kind": kind, "now": now, "values": values, "changed": [one for one in values if one["changed"]]}


@requires("queue.change")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """Change a queue's settings. What somebody else changed meanwhile is shown, never overwritten."""
    kind = KINDS.get(name)
    if kind is None:
        raise Http404
    now = job_record.settings(name)
    form = SettingsForm(now, kind.defaults, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        wished, seen = form.changes()
        answer = services.change_settings(actor_of(request), name, wished, seen) if wished else now
        if not isinstance(answer, Refused):
            told = "They hold from now on." if wished else "Nothing was changed."
            messages.success(request, f"The settings of {name} were saved. {told}" if wished else told)
            return HttpResponseRedirect(reverse("queue-settings"))
        raise_if_hidden(answer)
        form.take_as_seen(job_record.settings(name))
        place_problems(form, answer.problems)
    values = {"form": form, "kind": kind, "summary": summary_of(form)}
    return render(request, "queues/settings_edit.html", values, status=422 if form.errors else 200)
