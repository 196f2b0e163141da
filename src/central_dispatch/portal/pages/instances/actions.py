"""What is done with an instance: plan, deploy, delete, inventory, clear."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from central_dispatch.fleet import queries
from central_dispatch.fleet.models import Instance, Run
from central_dispatch.fleet.refusal import Refused
from central_dispatch.fleet.services import runs as services
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.instances.find import find, find_for
from central_dispatch.portal.pages.instances.views import web_root_of
from central_dispatch.portal.pages.rendering import place_problems, raise_if_hidden, say, sentence, show, summary_of
from central_dispatch.portal.pages.workers.forms import TypedName


def _to(name: str, key: str) -> HttpResponse:
    return HttpResponseRedirect(reverse(name, args=[key]))


@requires("fleet.view")
@require_http_methods(["GET", "HEAD", "POST"])
def plan(request: HttpRequest, instance_id: str) -> HttpResponse:
    """Show what a deployment would do; a POST has the host look (anew)."""
    instance = find(instance_id)
    actor = actor_of(request)
    if request.method == "POST":
        answer = services.request_plan(actor, instance_id)
        if isinstance(answer, Refused):
            say(request, answer)
        return _to("instance-plan", instance_id)
    found = queries.latest_plan(instance)
    shown = found is not None and not found.is_open
    problems = (found.problems or ([found.problem] if found.problem else [])) if found and shown else []
    values = {
        "instance": instance,
        "plan": found,
        "problems": problems,
        "steps": list(found.steps.all()) if found and shown else [],
        "actions": queries.allowed_actions(actor, instance),
        "open_run": queries.open_run(instance),
        "online": instance.worker.is_online(timezone.now()),
    }
    return show(request, "instances/plan.html", "instances/_plan.html", values)


@requires("instance.deploy")
@require_POST
def deploy(request: HttpRequest, instance_id: str) -> HttpResponse:
    """Deploy, and go where it can be watched; the second of two who press is led to the first one's run."""
    answer = services.deploy(actor_of(request), instance_id)
    if isinstance(answer, Run):
        return _to("run", answer.pk)
    say(request, answer)
    return _to("run", answer.run) if answer.run else _to("instance", instance_id)


@requires("instance.delete")
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, instance_id: str) -> HttpResponse:
    """Delete, after the name was typed."""
    instance = find_for(actor_of(request), "instance.delete", instance_id)
    form = TypedName(instance.name, data=request.POST or None)
    if request.method == "POST":
        answer = services.delete(actor_of(request), instance_id, request.POST.get("typed_name", ""))
        if isinstance(answer, Run):
            return _to("run", answer.pk)
        if isinstance(answer, Instance):
            messages.success(request, f"{answer.name} was deleted.")
            return HttpResponseRedirect(reverse("instances"))
        raise_if_hidden(answer)
        form.is_valid()
        place_problems(form, answer.problems)
    values = {
        "instance": instance,
        "form": form,
        "summary": summary_of(form),
        "on_host": instance.state not in {Instance.State.DRAFT, Instance.State.IN_ERROR},
        "web_root": web_root_of(instance),
        "has_database": _has_database(instance),
        "archive": instance.worker.host_settings.archive_directory,
    }
    return render(request, "instances/delete.html", values, status=422 if form.errors else 200)


def _has_database(instance: Instance) -> bool:
    """Return whether the source has one; a source that the host no longer offers may have had one."""
    sources = instance.worker.host_settings.sources
    return next((one.database for one in sources if one.name == instance.source), True)


@requires("instance.inventory")
@require_http_methods(["GET", "HEAD", "POST"])
def inventory(request: HttpRequest, instance_id: str) -> HttpResponse:
    """List what on the host bears the instance's names; a POST has the host look (anew)."""
    instance = find_for(actor_of(request), "instance.inventory", instance_id)
    if request.method == "POST":
        answer = services.request_inventory(actor_of(request), instance_id)
        if isinstance(answer, Refused):
            say(request, answer)
        return _to("instance-inventory", instance_id)
    return show(request, "instances/inventory.html", "instances/_inventory.html", _inventory(request, instance))


def _inventory(request: HttpRequest, instance: Instance) -> dict[str, Any]:
    look = queries.latest_inventory(instance)
    return {
        "instance": instance,
        "look": look,
        "items": look.found if look else [],
        "actions": queries.allowed_actions(actor_of(request), instance),
        "online": instance.worker.is_online(timezone.now()),
    }


@requires("instance.clear")
@require_POST
def clear(request: HttpRequest, instance_id: str) -> HttpResponse:
    """Clear what was ticked, item by item, after the name was typed."""
    instance = find_for(actor_of(request), "instance.clear", instance_id)
    keys = tuple(request.POST.getlist("item"))
    error = ""
    if not keys:
        error = "Nothing is ticked. Tick each thing that is to be cleared."
    elif request.POST.get("typed_name", "").strip() != instance.name:
        error = f"Does not match. Type {instance.name} to confirm."
    else:
        answer = services.clear_items(actor_of(request), instance_id, keys)
        if isinstance(answer, Run):
            return _to("run", answer.pk)
        raise_if_hidden(answer)
        error = " ".join(map(sentence, answer.problems))
    values = {**_inventory(request, instance), "clear_error": error, "confirmed": keys}
    return render(request, "instances/inventory.html", values, status=422)
