"""Central Dispatch → Managed Instances: the list and the record."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from central_dispatch.fleet import queries
from central_dispatch.fleet.models import Instance, Run
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.instances.find import find
from central_dispatch.portal.pages.paging import paged
from central_dispatch.portal.pages.rendering import show
from central_dispatch.provisioning.names import unix_user_for
from central_dispatch.provisioning.site import paths_of

#: Runs that the record lists; the others are in the list of runs.
RUNS_SHOWN = 15
_HTTPS = 443


@requires("fleet.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the instances by name, filtered by text, state and worker."""
    text, state, worker = (request.GET.get(key, "").strip() for key in ("q", "state", "worker"))
    values = {
        "paged": paged(request, queries.instances(state=state, worker=worker, text=text)),
        "text": text,
        "chosen_state": state,
        "chosen_worker": worker,
        "filtered": bool(text or state or worker),
        "states": Instance.State,
        "workers": queries.workers(),
        "usable": queries.usable_workers(actor_of(request)).exists(),
    }
    return show(request, "instances/list.html", "instances/_list.html", values)


@requires("fleet.view")
@require_safe
def detail(request: HttpRequest, instance_id: str) -> HttpResponse:
    """Show an instance's record: its error first, then what it is, what was done, and what may be done."""
    instance = find(instance_id)
    port = instance.worker.host_settings.https_port
    values = {
        "instance": instance,
        "hostnames": instance.hostname_list,
        "port": "" if port == _HTTPS else f":{port}",
        "certificate": instance.certificate_view(),
        "actions": queries.allowed_actions(actor_of(request), instance),
        "open_run": queries.open_run(instance),
        "runs": queries.runs(instance=instance.pk)[:RUNS_SHOWN],
        "web_root": web_root_of(instance),
        "unix_user": unix_user_for(instance.name),
        "error_head": _error_head(instance),
    }
    return show(request, "instances/detail.html", "instances/_detail.html", values)


def web_root_of(instance: Instance) -> str:
    """Return the path of an instance's directory on its host."""
    install_path = instance.worker.host_settings.install_path or instance.worker.install_path
    return paths_of(install_path, instance.web_root, instance.release).web_root


def _error_head(instance: Instance) -> str:
    """Return what became of the run that failed; the problem itself names the step."""
    run = queries.runs(instance=instance.pk).exclude(kind__in=["plan", "inventory"]).first()
    if run is None or run.kind != Run.Kind.DEPLOY or run.state != Run.State.BACKED_OUT:
        return ""
    return "The deployment failed, and everything it had done was undone"
