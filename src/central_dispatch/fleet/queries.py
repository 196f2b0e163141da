"""What pages, API and command line read, with everything that they show already joined."""

from django.db.models import Prefetch, Q, QuerySet

from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.models import Instance, Run, Worker
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.services.instances import EDITABLE
from central_dispatch.fleet.states import Turn, next_instance_state


def workers(*, revoked: bool = False) -> QuerySet[Worker]:
    """Return the workers by name; those that were revoked only when asked for."""
    found = Worker.objects.prefetch_related("allowed_users")
    return found if revoked else found.exclude(state=Worker.State.REVOKED)


def usable_workers(actor: Actor) -> QuerySet[Worker]:
    """Return the workers on which the actor may create instances."""
    found = workers()
    if not may(actor, "instance.create"):
        return found.none()
    if actor.administers:
        return found
    if actor.limits.confine_fleet:
        found = found.filter(pk__in=actor.limits.workers)
    return found.filter(Q(allowed_users=None) | Q(allowed_users=actor.user_id)).distinct()


def worker(worker_id: str) -> Worker | None:
    """Return one worker, revoked or not."""
    return workers(revoked=True).filter(pk=worker_id).first()


def instances(*, state: str = "", worker: str = "", text: str = "", deleted: bool = False) -> QuerySet[Instance]:
    """Return the instances by name. `text` looks in names and hostnames; the deleted ones only when asked for."""
    found = Instance.objects.select_related("worker").prefetch_related("hostnames", "worker__allowed_users")
    if not deleted and state != Instance.State.DELETED:
        found = found.exclude(state=Instance.State.DELETED)
    if state:
        found = found.filter(state=state)
    if worker:
        found = found.filter(worker=worker)
    if text:
        found = found.filter(Q(name__icontains=text) | Q(hostnames__hostname__icontains=text)).distinct()
    return found


def instance(instance_id: str) -> Instance | None:
    """Return one instance, deleted or not."""
    return instances(deleted=True).filter(pk=instance_id).first()


def runs(*, instance: str = "", worker: str = "", open_only: bool = False) -> QuerySet[Run]:
    """Return the runs, newest first."""
    found = Run.objects.select_related("instance", "worker").prefetch_related("worker__allowed_users")
    if instance:
        found = found.filter(instance=instance)
    if worker:
        found = found.filter(worker=worker)
    return found.filter(open_key__isnull=False) if open_only else found


def run(run_id: str) -> Run | None:
    """Return one run with its steps."""
    rows = runs().prefetch_related(Prefetch("steps"), "instance__hostnames")
    return rows.filter(pk=run_id).first()


def open_run(instance: Instance) -> Run | None:
    """Return the run that changes the instance at present."""
    return runs().filter(open_key=instance.pk).first()


def latest_plan(instance: Instance) -> Run | None:
    """Return the newest plan of an instance's present values, whether it is there already or not."""
    spec = instance.spec().model_dump(mode="json")
    return runs(instance=instance.pk).filter(kind=Run.Kind.PLAN, spec=spec).first()


def latest_inventory(instance: Instance) -> Run | None:
    """Return the newest inventory of an instance."""
    return runs(instance=instance.pk).filter(kind=Run.Kind.INVENTORY).first()


def allowed_actions(actor: Actor, instance: Instance) -> frozenset[str]:
    """Return what the actor could do with the instance now: edit, plan, deploy, delete, inventory, clear."""
    state = Instance.State(instance.state)
    if state is Instance.State.DELETED:
        return frozenset()
    idle = not Run.objects.filter(open_key=instance.pk).exists()
    possible = {
        "edit": idle and state in EDITABLE,
        "plan": state in EDITABLE,
        "deploy": idle and state in EDITABLE,
        "delete": idle and state in EDITABLE | {Instance.State.ACTIVE},
        "inventory": True,
        "clear": idle and next_instance_state(state, Turn.CLEAR) is not None,
    }
    return frozenset(name for name, fits in possible.items() if fits and may(actor, f"instance.{name}", instance))


def allowed_run_actions(actor: Actor, run: Run) -> frozenset[str]:
    """Return what the actor could wish of the run now: back_out, retry, acknowledge."""
    early = {Run.State.REQUESTED, Run.State.CLAIMED, Run.State.RUNNING}
    stuck = run.state == Run.State.STUCK and not run.wish
    possible = {
        "back_out": run.state in early and run.wish != Run.Wish.BACK_OUT,
        "retry": stuck,
        "acknowledge": stuck,
    }
    return frozenset(name for name, fits in possible.items() if fits and may(actor, f"run.{name}", run.instance))
