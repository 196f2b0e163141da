"""Looks: runs that change nothing (a plan, an inventory). One is open per instance; a newer one replaces it."""

from central_dispatch.fleet.models import Instance, Run
from central_dispatch.fleet.services.transitions import signal_run
from central_dispatch.fleet.states import Signal
from central_dispatch.provisioning.problem import Problem


def look_key(instance: Instance) -> str:
    """Return the key that an open look of the instance holds."""
    return f"{instance.pk}:look"


def withdraw_look(instance: Instance, why: str) -> None:
    """End the open look of an instance, if there is one; what the host still answers is passed over."""
    run = Run.objects.select_related("instance", "worker").filter(open_key=look_key(instance)).first()
    if run is not None:
        signal_run(run, Signal.WITHDRAWN, Problem("Withdrawn", why))
