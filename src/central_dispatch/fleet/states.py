"""Every transition of runs and instances, as two tables. Pure."""

from enum import StrEnum

from central_dispatch.fleet.models.instance import Instance
from central_dispatch.fleet.models.run import Run

R, S, K = Run.State, Instance.State, Run.Kind


class Signal(StrEnum):
    """What happens to a run: asked for here, or reported by the host."""

    BEGAN = "began"
    TURNED_ROUND = "turned_round"  # it backs out from here
    COMMITTED = "committed"  # from here only forward
    STUCK = "stuck"
    RESUMED_BACK = "resumed_back"  # out of stuck, before the commit
    RESUMED_FORWARD = "resumed_forward"  # out of stuck, after the commit
    ENDED_COMMITTED = "ended_committed"
    ENDED_BACKED_OUT = "ended_backed_out"
    PLANNED = "planned"
    FOUND = "found"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LOST = "lost"


class Turn(StrEnum):
    """What happens to an instance."""

    DEPLOY = "deploy"
    BACK_OUT = "back_out"
    FAILED = "failed"  # a deployment ended backed out, by its own failure
    TAKEN_BACK = "taken_back"  # a deployment ended backed out, because somebody wished it
    UP = "up"
    CHANGE = "change"
    UNCHANGED = "unchanged"  # a deletion did not happen
    DELETED = "deleted"
    STUCK = "stuck"
    CLEAR = "clear"
    CLEARED = "cleared"
    EMPTY = "empty"  # the host was looked at and holds nothing of it


OPEN_RUNS = frozenset({R.REQUESTED, R.CLAIMED, R.RUNNING, R.BACKING_OUT, R.FINISHING, R.STUCK})
_BEFORE = (R.REQUESTED, R.CLAIMED)
_BEGUN = (R.RUNNING, R.BACKING_OUT, R.FINISHING, R.STUCK)

RUN_TABLE: dict[tuple[Run.State, Signal], Run.State] = {
    **{(state, Signal.BEGAN): R.RUNNING for state in _BEFORE},
    (R.RUNNING, Signal.TURNED_ROUND): R.BACKING_OUT,
    (R.RUNNING, Signal.COMMITTED): R.FINISHING,
    (R.BACKING_OUT, Signal.STUCK): R.STUCK,
    (R.FINISHING, Signal.STUCK): R.STUCK,
    (R.STUCK, Signal.RESUMED_BACK): R.BACKING_OUT,
    (R.STUCK, Signal.RESUMED_FORWARD): R.FINISHING,
    (R.FINISHING, Signal.ENDED_COMMITTED): R.COMMITTED,
    (R.BACKING_OUT, Signal.ENDED_BACKED_OUT): R.BACKED_OUT,
    **{(state, Signal.PLANNED): R.PLANNED for state in _BEFORE},
    **{(state, Signal.FOUND): R.FOUND for state in _BEFORE},
    **{(state, Signal.REFUSED): R.REFUSED for state in _BEFORE},
    **{(state, Signal.WITHDRAWN): R.WITHDRAWN for state in _BEFORE},
    **{(state, Signal.LOST): R.LOST for state in _BEGUN},
}

INSTANCE_TABLE: dict[tuple[Instance.State, Turn], Instance.State] = {
    (S.DRAFT, Turn.DEPLOY): S.DEPLOYING,
    (S.IN_ERROR, Turn.DEPLOY): S.DEPLOYING,
    (S.DEPLOYING, Turn.BACK_OUT): S.BACKING_OUT,
    (S.DEPLOYING, Turn.UP): S.ACTIVE,
    (S.DEPLOYING, Turn.STUCK): S.STUCK,
    # Refused by the host, or withdrawn, before anything was done.
    (S.DEPLOYING, Turn.FAILED): S.IN_ERROR,
    (S.DEPLOYING, Turn.TAKEN_BACK): S.DRAFT,
    (S.BACKING_OUT, Turn.FAILED): S.IN_ERROR,
    (S.BACKING_OUT, Turn.TAKEN_BACK): S.DRAFT,
    (S.BACKING_OUT, Turn.STUCK): S.STUCK,
    (S.STUCK, Turn.BACK_OUT): S.BACKING_OUT,
    (S.STUCK, Turn.DEPLOY): S.DEPLOYING,
    (S.STUCK, Turn.CHANGE): S.CHANGING,
    (S.ACTIVE, Turn.CHANGE): S.CHANGING,
    (S.CHANGING, Turn.UNCHANGED): S.ACTIVE,
    (S.CHANGING, Turn.DELETED): S.DELETED,
    (S.CHANGING, Turn.STUCK): S.STUCK,
    # Never deployed, or wholly backed out: the host holds nothing, so no run is needed.
    (S.DRAFT, Turn.DELETED): S.DELETED,
    (S.IN_ERROR, Turn.DELETED): S.DELETED,
    **{(state, Turn.CLEAR): S.CHANGING for state in (S.DRAFT, S.IN_ERROR, S.STUCK)},
    (S.CHANGING, Turn.CLEARED): S.STUCK,
    # A stuck run whose journal is lost leaves its instance as it is.
    (S.STUCK, Turn.STUCK): S.STUCK,
    (S.STUCK, Turn.EMPTY): S.DRAFT,
}

# What a run's signal means for its instance. A look means nothing for it but for what `EMPTY` says.
TURN_TABLE: dict[tuple[Run.Kind, Signal], Turn] = {
    (K.DEPLOY, Signal.TURNED_ROUND): Turn.BACK_OUT,
    (K.DEPLOY, Signal.STUCK): Turn.STUCK,
    (K.DEPLOY, Signal.RESUMED_BACK): Turn.BACK_OUT,
    (K.DEPLOY, Signal.RESUMED_FORWARD): Turn.DEPLOY,
    (K.DEPLOY, Signal.ENDED_COMMITTED): Turn.UP,
    (K.DEPLOY, Signal.ENDED_BACKED_OUT): Turn.FAILED,
    (K.DEPLOY, Signal.REFUSED): Turn.FAILED,
    (K.DEPLOY, Signal.WITHDRAWN): Turn.TAKEN_BACK,
    (K.DEPLOY, Signal.LOST): Turn.STUCK,
    (K.DELETE, Signal.STUCK): Turn.STUCK,
    (K.DELETE, Signal.RESUMED_BACK): Turn.CHANGE,
    (K.DELETE, Signal.RESUMED_FORWARD): Turn.CHANGE,
    (K.DELETE, Signal.ENDED_COMMITTED): Turn.DELETED,
    (K.DELETE, Signal.ENDED_BACKED_OUT): Turn.UNCHANGED,
    (K.DELETE, Signal.REFUSED): Turn.UNCHANGED,
    (K.DELETE, Signal.WITHDRAWN): Turn.UNCHANGED,
    (K.DELETE, Signal.LOST): Turn.STUCK,
    (K.CLEAR, Signal.STUCK): Turn.STUCK,
    (K.CLEAR, Signal.RESUMED_BACK): Turn.CHANGE,
    (K.CLEAR, Signal.RESUMED_FORWARD): Turn.CHANGE,
    (K.CLEAR, Signal.ENDED_COMMITTED): Turn.CLEARED,
    (K.CLEAR, Signal.ENDED_BACKED_OUT): Turn.CLEARED,
    (K.CLEAR, Signal.REFUSED): Turn.CLEARED,
    (K.CLEAR, Signal.WITHDRAWN): Turn.CLEARED,
    (K.CLEAR, Signal.LOST): Turn.STUCK,
}

# The kinds that end when the host answers, and the answer that each may get.
_ANSWERS: dict[Run.Kind, Signal] = {K.PLAN: Signal.PLANNED, K.INVENTORY: Signal.FOUND}


def next_run_state(kind: Run.Kind, state: Run.State, signal: Signal) -> Run.State | None:
    """Return the run's state after a signal; None where the signal does not fit, and then nothing may change."""
    looks = {Signal.PLANNED, Signal.FOUND}
    if signal in looks and _ANSWERS.get(kind) != signal:
        return None
    if kind in _ANSWERS and signal not in looks | {Signal.REFUSED, Signal.WITHDRAWN}:
        return None
    return RUN_TABLE.get((state, signal))


def turn_for(kind: Run.Kind, signal: Signal, *, wished: bool) -> Turn | None:
    """Return what a run's signal means for its instance. `wished`: an administrator asked for the back-out."""
    turn = TURN_TABLE.get((kind, signal))
    if turn is Turn.FAILED and wished:
        return Turn.TAKEN_BACK
    return turn


def next_instance_state(state: Instance.State, turn: Turn) -> Instance.State | None:
    """Return the instance's state after a turn; None where it does not fit."""
    return INSTANCE_TABLE.get((state, turn))
