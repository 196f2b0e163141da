"""Creating and changing a managed instance."""

from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from central_dispatch.fleet import queries
from central_dispatch.fleet.forms import InstanceForm
from central_dispatch.fleet.models import Instance, Worker
from central_dispatch.fleet.refusal import Refused
from central_dispatch.fleet.services import instances as services
from central_dispatch.fleet.services import runs as run_services
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.instances.find import find_for
from central_dispatch.portal.pages.instances.forms import InstanceFields, first_choices, host_of, values_of
from central_dispatch.portal.pages.rendering import go, place_problems, raise_if_hidden, say, show, summary_of
from central_dispatch.provisioning.problem import Problem


@requires("instance.create")
@sensitive_post_parameters("key")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Create a draft."""
    return _form_page(request, None)


@requires("instance.edit")
@sensitive_post_parameters("key")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, instance_id: str) -> HttpResponse:
    """Change a draft, or an instance whose deployment was backed out."""
    return _form_page(request, find_for(actor_of(request), "instance.edit", instance_id))


def _form_page(request: HttpRequest, instance: Instance | None) -> HttpResponse:
    workers = list(queries.usable_workers(actor_of(request)))
    chosen = _chosen(request, workers, instance)
    if request.method != "POST" or "refresh" in request.POST:
        # Only a fresh page takes the focus to its first field: a part that is patched in would steal it.
        focus = {"autofocus": True} if request.method != "POST" else {}
        values = first_choices(_values(request, instance, chosen), chosen)
        form = InstanceFields(request.path, workers, chosen, initial=values)
        form.fields["name"].widget.attrs.update(focus)
        return _show(request, form, chosen, instance)
    form = InstanceFields(request.path, workers, chosen, data=request.POST, files=request.FILES)
    if form.is_valid():
        answer = _save(request, form.typed(), instance)
        if isinstance(answer, Instance):
            return _next(request, answer)
        raise_if_hidden(answer)
        place_problems(form, _placed(form, answer.problems))
    return _show(request, form, chosen, instance, status=422)


def _save(request: HttpRequest, typed: InstanceForm, instance: Instance | None) -> Instance | Refused:
    actor = actor_of(request)
    if instance is None:
        return services.create_instance(actor, typed)
    return services.update_instance(actor, instance.pk, typed)


def _next(request: HttpRequest, instance: Instance) -> HttpResponse:
    if request.POST.get("then") == "draft":
        return go(request, reverse("instance", args=[instance.pk]))
    plan = run_services.request_plan(actor_of(request), instance.pk)
    if isinstance(plan, Refused):
        say(request, plan)
    return go(request, reverse("instance-plan", args=[instance.pk]))


def _chosen(request: HttpRequest, workers: list[Worker], instance: Instance | None) -> Worker | None:
    """Return the worker that the form is about: the one named, the instance's, else the first that has called."""
    wanted = request.POST.get("worker") or request.GET.get("worker") or (instance.worker_id if instance else "")
    named = next((worker for worker in workers if worker.pk == wanted), None)
    return named or next((worker for worker in workers if worker.last_seen), None) or next(iter(workers), None)


def _values(request: HttpRequest, instance: Instance | None, chosen: Worker | None) -> dict[str, Any]:
    if request.method == "POST":
        typed = {name: request.POST.get(name, "") for name in InstanceFields.base_fields}
        return {**typed, "schedule": "schedule" in request.POST}
    if instance is not None:
        return values_of(instance)
    return {
        "admin_email": chosen.default_admin_email if chosen else "",
        "schedule": chosen.default_schedule if chosen else True,
        "own_certificate": "" if chosen is None or chosen.host_settings.default_certificate else "1",
    }


def _placed(form: InstanceFields, problems: tuple[Problem, ...]) -> list[Problem]:
    """Return the problems at the fields where they can be mended, each once."""
    return [
        _at_choice(form, one)
        for one in problems
        if not _is_echo(form, one.field, bad_name=any(other.field == "name" for other in problems))
    ]


def _at_choice(form: InstanceFields, problem: Problem) -> Problem:
    """Put what is wrong with the default certificate at the choice: the certificate's own field is not shown then."""
    own = form.cleaned_data.get("own_certificate") == "1"
    return problem if own or problem.field != "certificate" else replace(problem, field="own_certificate")


def _is_echo(form: InstanceFields, field: str, *, bad_name: bool) -> bool:
    """Say whether a field is wrong only because it was filled from a wrong name."""
    if not bad_name or field not in {"web_root", "database", "database_user"}:
        return False
    name = form.cleaned_data["name"].strip().lower()
    return form.cleaned_data[field].strip() in {"", name, name.replace("-", "_")}


def _show(
    request: HttpRequest, form: InstanceFields, worker: Worker | None, instance: Instance | None, status: int = 200
) -> HttpResponse:
    values = {
        "form": form,
        "summary": summary_of(form),
        "worker": worker,
        "host": host_of(worker),
        "instance": instance,
        "kept": instance.certificate_view() if instance and instance.tls == Instance.Tls.OWN else None,
        "broken_sources": [one for one in worker.host_settings.sources if one.problem] if worker else [],
    }
    return show(request, "instances/form.html", "instances/_form.html", values, status=status)
