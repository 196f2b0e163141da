"""Runs as they are asked for: plan, deploy, back out, delete, inventory, clear, retry, acknowledge."""

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import DISPATCHER, Actor
from central_dispatch.fleet.announce import orders_changed, run_changed
from central_dispatch.fleet.models import Instance, Run
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, absent, conflict, forbidden
from central_dispatch.fleet.services.looks import look_key, withdraw_look
from central_dispatch.fleet.services.transitions import signal_run, turn_instance
from central_dispatch.fleet.states import Signal, Turn, next_instance_state
from central_dispatch.provisioning.problem import Problem


def request_plan(by: Actor, instance_id: str) -> Run | Refused:
    """Have the host say what a deployment would do. A plan that is under way for the same values is returned."""
    return _look(by, instance_id, "instance.plan", Run.Kind.PLAN)


def request_inventory(by: Actor, instance_id: str) -> Run | Refused:
    """Have the host list what bears the instance's names."""
    return _look(by, instance_id, "instance.inventory", Run.Kind.INVENTORY)


def deploy(by: Actor, instance_id: str) -> Run | Refused:
    """Deploy a draft, or an instance whose deployment failed. Of two who press at once, the second is told the run."""
    with transaction.atomic():
        instance = _permitted(by, instance_id, "instance.deploy")
        if isinstance(instance, Refused):
            return instance
        return _change(by, instance, Run.Kind.DEPLOY, Turn.DEPLOY)


def delete(by: Actor, instance_id: str, typed_name: str) -> Run | Instance | Refused:
    """Delete an instance, its dump and files to the host's archive first. `typed_name` confirms it.

    What was never deployed, or wholly backed out, is deleted at once: then the instance is returned.
    """
    with transaction.atomic():
        instance = _permitted(by, instance_id, "instance.delete")
        if isinstance(instance, Refused):
            return instance
        if typed_name.strip() != instance.name:
            problem = Problem("does not match", mend=f"Type {instance.name} to confirm.", field="typed_name")
            return Refused("invalid", (problem,))
        open_run = _open_run(instance)
        if open_run is None and next_instance_state(Instance.State(instance.state), Turn.DELETED):
            withdraw_look(instance, "the instance was deleted")
            turn_instance(instance, Turn.DELETED)
            audit.record(by, "instance.delete", f"instance:{instance.pk}", title=instance.name)
            return instance
        if instance.state == Instance.State.STUCK:
            return _stuck(instance, open_run)
        return _change(by, instance, Run.Kind.DELETE, Turn.CHANGE)


def clear_items(by: Actor, instance_id: str, keys: tuple[str, ...]) -> Run | Refused:
    """Have the host clear what was confirmed, one by one, of the last inventory."""
    with transaction.atomic():
        instance = _permitted(by, instance_id, "instance.clear")
        if isinstance(instance, Refused):
            return instance
        last = instance.runs.filter(kind=Run.Kind.INVENTORY, state=Run.State.FOUND).first()
        offered = {item.key for item in last.found if item.whose != "foreign"} if last else set()
        if not keys or not set(keys) <= offered:
            mend = "Take an inventory, and confirm items of it."
            return Refused(
                "invalid", (Problem("names an item that the last inventory does not offer", mend=mend, field="items"),)
            )
        return _change(by, instance, Run.Kind.CLEAR, Turn.CLEAR, keys)


def back_out(by: Actor, run_id: str) -> Run | Refused:
    """Have a run turn round at its next step boundary; one that the host has not been told of is withdrawn."""
    with transaction.atomic():
        run = _permitted_run(by, run_id, "run.back_out")
        if isinstance(run, Refused):
            return run
        if not run.is_open:
            return conflict("The run has ended", mend="To take a deployed instance away, delete it.")
        if run.state in {Run.State.FINISHING, Run.State.STUCK, Run.State.BACKING_OUT}:
            return conflict(f"The run is {run.get_state_display()}", mend=_instead_of_backing_out(run))
        audit.record(by, "run.back_out", f"run:{run.pk}", title=f"{run.kind} {run.instance.name}")
        problem = Problem("Backed out", f"by {by.name}")
        if run.state == Run.State.REQUESTED or run.is_look:
            signal_run(run, Signal.WITHDRAWN, problem)
            return run
        return _wish(by, run, Run.Wish.BACK_OUT)


def retry_stuck(by: Actor, run_id: str) -> Run | Refused:
    """Have a stuck run try again what it is stuck at."""
    return _wish_of_stuck(by, run_id, "run.retry", Run.Wish.RETRY)


def acknowledge(by: Actor, run_id: str) -> Run | Refused:
    """Take the residue that a run is stuck at over into an administrator's hands; the run carries on with the rest."""
    return _wish_of_stuck(by, run_id, "run.acknowledge", Run.Wish.ACKNOWLEDGE)


def look_again(instance: Instance) -> None:
    """Take a new inventory after items were cleared. Inside a transaction."""
    withdraw_look(instance, "items were cleared")
    _request(DISPATCHER, instance, Run.Kind.INVENTORY, look_key(instance))


def _look(by: Actor, instance_id: str, action: str, kind: Run.Kind) -> Run | Refused:
    with transaction.atomic():
        instance = _permitted(by, instance_id, action)
        if isinstance(instance, Refused):
            return instance
        spec = instance.spec().model_dump(mode="json")
        under_way = Run.objects.filter(open_key=look_key(instance), kind=kind, spec=spec).first()
        if under_way is not None:
            return under_way
        withdraw_look(instance, "another look was asked for")
        return _request(by, instance, kind, look_key(instance))


def _change(by: Actor, instance: Instance, kind: Run.Kind, turn: Turn, items: tuple[str, ...] = ()) -> Run | Refused:
    under_way = _open_run(instance)
    if under_way is not None:
        what = f"A run of {instance.name} is under way"
        return conflict(what, f"{under_way.requested_by} asked for “{under_way.kind}”", run=under_way.pk)
    if next_instance_state(Instance.State(instance.state), turn) is None:
        what = f"{instance.name} is {instance.get_state_display()}"
        return conflict(what, f"“{kind}” is not possible then")
    if instance.worker.is_revoked:
        return conflict(f"The worker {instance.worker.name} was revoked", mend="Nothing can be done on its host.")
    withdraw_look(instance, f"“{kind}” was asked for")
    run = _request(by, instance, kind, instance.pk, items)
    turn_instance(instance, turn)
    after = {"run": run.pk, "items": list(items)} if items else {"run": run.pk}
    audit.record(by, f"instance.{kind}", f"instance:{instance.pk}", title=instance.name, after=after)
    return run


def _request(by: Actor, instance: Instance, kind: Run.Kind, key: str, items: tuple[str, ...] = ()) -> Run:
    run = Run.objects.create(
        instance=instance,
        worker=instance.worker,
        kind=kind,
        open_key=key,
        spec=instance.spec().model_dump(mode="json"),
        items=list(items),
        requested_by=by.name,
        created_at=timezone.now(),
    )
    run_changed(run)
    orders_changed(run.worker_id)
    return run


def _wish_of_stuck(by: Actor, run_id: str, action: str, wish: Run.Wish) -> Run | Refused:
    with transaction.atomic():
        run = _permitted_run(by, run_id, action)
        if isinstance(run, Refused):
            return run
        if run.state != Run.State.STUCK:
            return conflict(f"The run is {run.get_state_display()}, not stuck")
        before = {"problem": run.problem_json}
        audit.record(by, action, f"run:{run.pk}", title=f"{run.kind} {run.instance.name}", before=before)
        return _wish(by, run, wish)


def _wish(by: Actor, run: Run, wish: Run.Wish) -> Run:
    run.wish, run.wish_by, run.wished_at, run.wish_sent_at = wish, by.name, timezone.now(), None
    run.save(update_fields=["wish", "wish_by", "wished_at", "wish_sent_at"])
    run_changed(run)
    orders_changed(run.worker_id)
    return run


def _permitted(by: Actor, instance_id: str, action: str) -> Instance | Refused:
    instance = Instance.objects.select_for_update().select_related("worker").filter(pk=instance_id).first()
    if instance is None or instance.state == Instance.State.DELETED:
        return absent("instance")
    if not may(by, action, instance):
        return forbidden("your roles do not permit it, or it is not among the instances that you may act on")
    return instance


def _permitted_run(by: Actor, run_id: str, action: str) -> Run | Refused:
    run = Run.objects.select_for_update().select_related("instance", "worker").filter(pk=run_id).first()
    if run is None:
        return absent("run")
    if not may(by, action, run.instance):
        return forbidden("your roles do not permit it, or it is not among the instances that you may act on")
    return run


def _open_run(instance: Instance) -> Run | None:
    return Run.objects.filter(open_key=instance.pk).first()


def _stuck(instance: Instance, run: Run | None) -> Refused:
    mend = "Retry or acknowledge what it is stuck at." if run else "Take an inventory and clear what it lists first."
    return conflict(f"{instance.name} is stuck", mend=mend, run=run.pk if run else "")


def _instead_of_backing_out(run: Run) -> str:
    match run.state:
        case Run.State.FINISHING:
            return "It is committed and only goes forward; delete the instance afterwards."
        case Run.State.STUCK:
            return "Retry, or acknowledge what is left."
        case _:
            return "It is turning round already."
