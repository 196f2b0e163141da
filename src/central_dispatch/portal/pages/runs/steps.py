"""A run's steps as its page shows them. Pure: rows in, frozen values out."""

from collections.abc import Sequence
from dataclasses import dataclass

from central_dispatch.fleet.models import Run, RunStep
from central_dispatch.provisioning.problem import Problem

_TOUCHED = frozenset({"open", "done", "failed", "undoing", "undone", "stuck", "acknowledged"})
_UNDO_SIGN = {"open": "untouched", "failed": "untouched", "done": "untouched", "undone": "done"}
_UNDO_WORDS = {
    "open": "still to be undone",
    "failed": "still to be undone",
    "done": "still to be undone",
    "undoing": "is being undone",
    "undone": "undone",
    "stuck": "could not be undone",
    "acknowledged": "taken over by an administrator",
}
#: A step that has nothing to say but its sign: the word would repeat it in every line.
_SILENT = frozenset({"untouched", "done"})


@dataclass(frozen=True, slots=True)
class Shown:
    """One step with what its line needs."""

    row: RunStep
    is_current: bool
    state_words: str
    undo_state: str
    undo_words: str
    opens: str  # `open` where the page opens the step by itself
    own_problem: Problem | None  # what the page does not say at its top already

    def __getattr__(self, name: str) -> object:
        return getattr(self.row, name)


def shown_steps(run: Run, rows: Sequence[RunStep]) -> list[Shown]:
    """Return the steps in the order of the plan."""
    return [_shown(run, row) for row in rows]


def back_out_steps(steps: Sequence[Shown]) -> list[Shown]:
    """Return the steps that a back-out undoes, last first; none while the run goes forward."""
    turned = any(step.row.state in {"undoing", "undone", "stuck", "acknowledged"} for step in steps)
    forward = any(step.row.part == RunStep.Part.TAIL and step.row.state in _TOUCHED for step in steps)
    if not turned or forward:
        return []
    return [step for step in reversed(steps) if step.row.part == RunStep.Part.STEPS and step.row.state in _TOUCHED]


def _shown(run: Run, row: RunStep) -> Shown:
    state = str(row.state)
    failed = row.problem_json is not None
    current = run.is_open and state in {"open", "undoing", "stuck"}
    return Shown(
        row=row,
        is_current=current,
        state_words=_words(state, failed=failed),
        undo_state=_UNDO_SIGN.get(state, state),
        undo_words=_UNDO_WORDS.get(state, state),
        opens="open" if (current and state == "open") or failed else "",
        own_problem=row.problem if failed and row.problem != run.problem and state != "undone" else None,
    )


def _words(state: str, *, failed: bool) -> str:
    if state == "undone" and failed:
        return "failed, undone"
    return "" if state in _SILENT else RunStep.State(state).label
