"""Carries a signal into a run and its instance, as the tables of `fleet.states` have it. Inside a transaction."""

from django.utils import timezone

from central_dispatch.fleet.announce import instance_changed, run_changed
from central_dispatch.fleet.models import Instance, Run
from central_dispatch.fleet.states import OPEN_RUNS, Signal, Turn, next_instance_state, next_run_state, turn_for
from central_dispatch.provisioning.problem import Problem

_BAD_ENDINGS = frozenset({Signal.TURNED_ROUND, Signal.STUCK, Signal.REFUSED, Signal.LOST, Signal.WITHDRAWN})


def signal_run(run: Run, signal: Signal, problem: Problem | None = None) -> bool:
    """Move the run, and its instance with it; save both. False where the signal does not fit: nothing is changed.

    `problem` says why, for the signals that have a why.
    """
    state = next_run_state(Run.Kind(run.kind), Run.State(run.state), signal)
    if state is None:
        return False
    now = timezone.now()
    run.state = state
    if problem is not None and signal in _BAD_ENDINGS:
        # The first cause stays: what a back-out is stuck at is its step's problem, and the instance's.
        run.problem_json = run.problem_json or problem.to_json()
    if signal is Signal.BEGAN:
        run.started_at = now
    if signal is Signal.COMMITTED:
        run.committed_at = now
    if state not in OPEN_RUNS:
        run.ended_at, run.open_key, run.wish, run.waiting_json = now, None, Run.Wish.NONE, None
    run.save()
    run_changed(run)
    turn = turn_for(Run.Kind(run.kind), signal, wished=run.backed_out_by != "")
    if turn is not None:
        turn_instance(run.instance, turn, problem or run.problem)
    return True


def turn_instance(instance: Instance, turn: Turn, problem: Problem | None = None) -> bool:
    """Move the instance and save it; False where the turn does not fit: nothing is changed."""
    state = next_instance_state(Instance.State(instance.state), turn)
    if state is None:
        return False
    now = timezone.now()
    instance.state, instance.changed_at = state, now
    instance.error_json = _error_after(turn, problem)
    if turn is Turn.UP:
        instance.deployed_at = now
    if turn is Turn.DELETED:
        instance.deleted_at, instance.live_name = now, None
        instance.hostnames.update(live_hostname=None)
        # The key is of no use to anybody any more.
        instance.sealed_key = b""
    instance.save()
    instance_changed(instance)
    return True


def _error_after(turn: Turn, problem: Problem | None) -> dict[str, str] | None:
    keeps = {Turn.BACK_OUT, Turn.FAILED, Turn.TAKEN_BACK, Turn.UNCHANGED, Turn.STUCK, Turn.CLEARED}
    return problem.to_json() if turn in keeps and problem is not None else None
