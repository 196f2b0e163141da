"""Endpoints of managed instances."""

from typing import Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status

from central_dispatch.fleet import queries
from central_dispatch.fleet.forms import InstanceForm
from central_dispatch.fleet.models import Instance, Run
from central_dispatch.fleet.refusal import Refused, absent
from central_dispatch.fleet.services import instances, runs
from central_dispatch.portal.api.access import Needs, caller
from central_dispatch.portal.api.answers import PROBLEMS, Page, Paging, RefusedError, done, page
from central_dispatch.portal.api.schemas import (
    ClearIn,
    DeleteIn,
    InstanceIn,
    InstanceOut,
    RunOut,
    instance_out,
    run_out,
)

router = Router(tags=["instances"])
StateName = Literal[
    "",
    "draft",
    "deploying",
    "active",
    "changing",
    "suspended",
    "backing_out",
    "archived",
    "in_error",
    "stuck",
    "deleted",
]


class InstanceFilter(Schema):
    """Which instances are wanted; blank: all that are not deleted."""

    state: StateName = ""
    worker: str = ""
    text: str = ""


def _form(body: InstanceIn) -> InstanceForm:
    return InstanceForm(**{**body.model_dump(exclude={"hostnames"}), "hostnames": tuple(body.hostnames)})


def _again(instance: Instance) -> InstanceOut:
    return instance_out(done(queries.instance(instance.pk) or absent("instance")))


@router.get("", auth=Needs("fleet.view"), response={200: Page[InstanceOut], **PROBLEMS})
def list_instances(
    request: HttpRequest,  # noqa: ARG001 ninja passes it
    wanted: Query[InstanceFilter],
    paging: Query[Paging],
) -> Page[InstanceOut]:
    """List the instances by name."""
    rows = queries.instances(state=wanted.state, worker=wanted.worker, text=wanted.text)
    return page(rows, paging, instance_out)


@router.post("", auth=Needs("instance.create"), response={201: InstanceOut, **PROBLEMS})
def create_instance(request: HttpRequest, body: InstanceIn) -> Status[InstanceOut]:
    """Make a draft; nothing is done on the host."""
    return Status(201, _again(done(instances.create_instance(caller(request), _form(body)))))


@router.get("/{instance_id}", auth=Needs("fleet.view"), response={200: InstanceOut, **PROBLEMS})
def show_instance(request: HttpRequest, instance_id: str) -> InstanceOut:  # noqa: ARG001 ninja passes it
    """Show an instance."""
    return instance_out(done(queries.instance(instance_id) or absent("instance")))


@router.put("/{instance_id}", auth=Needs("instance.edit"), response={200: InstanceOut, **PROBLEMS})
def update_instance(request: HttpRequest, instance_id: str, body: InstanceIn) -> InstanceOut:
    """Change a draft, or an instance whose deployment was backed out. A blank key keeps the sealed one."""
    return _again(done(instances.update_instance(caller(request), instance_id, _form(body))))


@router.post("/{instance_id}/plan", auth=Needs("instance.plan"), response={202: RunOut, **PROBLEMS})
def plan_instance(request: HttpRequest, instance_id: str) -> Status[RunOut]:
    """Have the host say what a deployment would do."""
    return Status(202, run_out(done(runs.request_plan(caller(request), instance_id))))


@router.post("/{instance_id}/deploy", auth=Needs("instance.deploy"), response={202: RunOut, **PROBLEMS})
def deploy_instance(request: HttpRequest, instance_id: str) -> Status[RunOut]:
    """Deploy. While a run is under way the answer is 409, with that run's id in `run`."""
    return Status(202, run_out(done(runs.deploy(caller(request), instance_id))))


@router.post(
    "/{instance_id}/delete", auth=Needs("instance.delete"), response={200: InstanceOut, 202: RunOut, **PROBLEMS}
)
def delete_instance(request: HttpRequest, instance_id: str, body: DeleteIn) -> Status[RunOut | InstanceOut]:
    """Delete, to the archive first. 202: a run does it; 200: nothing was deployed, it is deleted already."""
    answer = runs.delete(caller(request), instance_id, body.typed_name)
    if isinstance(answer, Refused):
        raise RefusedError(answer)
    return Status(202, run_out(answer)) if isinstance(answer, Run) else Status(200, _again(answer))


@router.post("/{instance_id}/inventory", auth=Needs("instance.inventory"), response={202: RunOut, **PROBLEMS})
def inventory_instance(request: HttpRequest, instance_id: str) -> Status[RunOut]:
    """Have the host list what bears the instance's names."""
    return Status(202, run_out(done(runs.request_inventory(caller(request), instance_id))))


@router.post("/{instance_id}/clear", auth=Needs("instance.clear"), response={202: RunOut, **PROBLEMS})
def clear_instance(request: HttpRequest, instance_id: str, body: ClearIn) -> Status[RunOut]:
    """Clear the confirmed items of the last inventory."""
    return Status(202, run_out(done(runs.clear_items(caller(request), instance_id, tuple(body.items)))))
