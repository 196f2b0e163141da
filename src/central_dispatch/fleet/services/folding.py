"""One event after the other, folded into a run and its steps. Pure but for the rows it is given and saves."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.utils import timezone
from pydantic import TypeAdapter, ValidationError

from central_dispatch.fleet.models import Run, RunStep
from central_dispatch.fleet.models.run import OUTPUT_LIMIT
from central_dispatch.fleet.services.transitions import signal_run, turn_instance
from central_dispatch.fleet.states import Signal, Turn
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import Item, RunEvent, StepView

#: The longest line of output that is kept, in characters.
LINE_LIMIT = 4096
#: The most steps that are kept of a plan's part.
STEP_LIMIT = 500
_STEPS = TypeAdapter(tuple[StepView, ...])
_ITEMS = TypeAdapter(tuple[Item, ...])


def event_time(event: RunEvent, now: datetime) -> datetime:
    """Return when the host says it happened; now, if what it says is no time."""
    with contextlib.suppress(ValueError):
        at = datetime.fromisoformat(event.at)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return now


def kept_data(event: RunEvent) -> dict[str, Any]:
    """Return what is stored of an event's data: output is kept once, bounded, with its step."""
    return {} if event.kind == "output" else event.data


class Folding:
    """Takes a run's events in order. Holds the changed steps back until `save_steps`."""

    def __init__(self, run: Run) -> None:
        """`run` has its instance and worker loaded; the caller holds the transaction."""
        self._run = run
        self._steps = {(step.part, step.index): step for step in run.steps.all()}
        self._changed: dict[tuple[str, int], RunStep] = {}
        self._now = timezone.now()

    def take(self, event: RunEvent) -> None:
        """Fold one event. A kind that is not known (a newer host's) changes nothing."""
        act = self._acts.get(event.kind)
        if act is not None:
            if event.kind != "output":
                self._run.waiting_json = None
            act(self, event)

    def save_steps(self) -> None:
        """Write the steps that changed."""
        fields = ["state", "started_at", "ended_at", "problem_json", "output", "output_cut", "left"]
        RunStep.objects.bulk_update(self._changed.values(), fields)

    def _begin(self, event: RunEvent) -> None:
        self._make_steps(event)
        signal_run(self._run, Signal.BEGAN)

    def _planned(self, event: RunEvent) -> None:
        self._make_steps(event)
        problems = _problems(event)
        self._run.problems_json = [problem.to_json() for problem in problems]
        signal_run(self._run, Signal.PLANNED)

    def _found(self, event: RunEvent) -> None:
        try:
            items = _ITEMS.validate_python(event.data.get("items", ()))
        except ValidationError:
            items = ()
            self._run.problem_json = Problem("The host's inventory could not be read").to_json()
        self._run.found_items = [item.model_dump(mode="json") for item in items]
        readable = self._run.problem_json is None
        signal_run(self._run, Signal.FOUND)
        instance = self._run.instance
        holds_nothing = readable and all(item.whose == "foreign" for item in items)
        if holds_nothing and not instance.runs.filter(open_key=instance.pk).exists():
            turn_instance(instance, Turn.EMPTY)

    def _refused(self, event: RunEvent) -> None:
        problems = _problems(event) or [Problem("The host refused the run without saying why", mend="See its log.")]
        self._run.problems_json = [problem.to_json() for problem in problems]
        if self._run.wish == Run.Wish.BACK_OUT:
            self._run.backed_out_by = self._run.wish_by
        signal_run(self._run, Signal.REFUSED, problems[0])

    def _make_steps(self, event: RunEvent) -> None:
        if self._steps:
            return
        rows = [
            RunStep(
                run=self._run,
                part=part,
                index=index,
                name=view.name[:60],
                title=view.title[:300],
                changes_json=[change.model_dump() for change in view.changes],
            )
            for part in (RunStep.Part.STEPS, RunStep.Part.TAIL)
            for index, view in enumerate(_views(event, "steps" if part == RunStep.Part.STEPS else "tail"))
        ]
        RunStep.objects.bulk_create(rows)
        # Read again: not every database tells a bulk insert's ids.
        self._steps = {(step.part, step.index): step for step in self._run.steps.all()}

    def _step(self, part: str, index: int) -> RunStep | None:
        step = self._steps.get((part, index))
        if step is not None:
            self._changed[part, index] = step
        return step

    def _live_part(self) -> RunStep.Part:
        return RunStep.Part.TAIL if self._run.committed_at else RunStep.Part.STEPS

    def _opened(self, event: RunEvent, part: RunStep.Part) -> None:
        step = self._step(part, event.step)
        if step is not None:
            step.state, step.problem_json, step.ended_at = RunStep.State.OPEN, None, None
            step.started_at = step.started_at or event_time(event, self._now)

    def _closed(
        self, event: RunEvent, part: RunStep.Part, state: RunStep.State, problem: Problem | None = None
    ) -> None:
        step = self._step(part, event.step)
        if step is None:
            return
        step.state = state
        if problem is not None:
            step.problem_json = problem.to_json()
        if state in {RunStep.State.DONE, RunStep.State.FAILED}:
            step.ended_at = event_time(event, self._now)

    def _intent(self, event: RunEvent) -> None:
        self._opened(event, RunStep.Part.STEPS)

    def _tail_intent(self, event: RunEvent) -> None:
        self._opened(event, RunStep.Part.TAIL)

    def _done(self, event: RunEvent) -> None:
        self._closed(event, RunStep.Part.STEPS, RunStep.State.DONE)

    def _tail_done(self, event: RunEvent) -> None:
        self._closed(event, RunStep.Part.TAIL, RunStep.State.DONE)

    def _failed(self, event: RunEvent) -> None:
        problem = self._named(event)
        self._closed(event, RunStep.Part.STEPS, RunStep.State.FAILED, problem)
        # It turns round by itself: nothing is left to wish.
        self._run.wish = Run.Wish.NONE
        signal_run(self._run, Signal.TURNED_ROUND, problem)

    def _back_out(self, event: RunEvent) -> None:
        if self._run.wish == Run.Wish.BACK_OUT and event.step < 0:
            self._run.backed_out_by = self._run.wish_by
        self._run.wish = Run.Wish.NONE
        signal_run(self._run, Signal.TURNED_ROUND, self._named(event))

    def _undo(self, event: RunEvent) -> None:
        self._closed(event, RunStep.Part.STEPS, RunStep.State.UNDOING)

    def _undone(self, event: RunEvent) -> None:
        self._closed(event, RunStep.Part.STEPS, RunStep.State.UNDONE)
        left = str(event.data.get("left", ""))[:500]
        step = self._step(RunStep.Part.STEPS, event.step)
        if left and step is not None:
            step.left = left
            self._run.left = [*self._run.left, f"{step.title}: {left}"]

    def _stuck(self, event: RunEvent) -> None:
        problem = self._named(event, self._live_part())
        self._closed(event, self._live_part(), RunStep.State.STUCK, problem)
        signal_run(self._run, Signal.STUCK, problem)

    def _resumed(self, _event: RunEvent) -> None:
        self._run.wish = Run.Wish.NONE
        signal_run(self._run, Signal.RESUMED_FORWARD if self._run.committed_at else Signal.RESUMED_BACK)

    def _acknowledged(self, event: RunEvent) -> None:
        indexes = event.data.get("steps", ())
        for index in indexes if isinstance(indexes, list | tuple) else ():
            step = self._step(self._live_part(), index) if isinstance(index, int) else None
            if step is not None:
                step.state = RunStep.State.ACKNOWLEDGED
        self._resumed(event)

    def _commit(self, _event: RunEvent) -> None:
        self._run.wish = Run.Wish.NONE
        signal_run(self._run, Signal.COMMITTED)

    def _waiting(self, event: RunEvent) -> None:
        self._run.waiting_json = Problem.from_json(event.data).to_json()

    def _end(self, event: RunEvent) -> None:
        committed = event.data.get("ending") == "committed"
        signal_run(self._run, Signal.ENDED_COMMITTED if committed else Signal.ENDED_BACKED_OUT)

    def _output(self, event: RunEvent) -> None:
        step = self._step(self._live_part(), event.step)
        if step is None:
            return
        line = str(event.data.get("line", ""))[:LINE_LIMIT] + "\n"
        if len(step.output) + len(line) > OUTPUT_LIMIT:
            step.output_cut = True
        elif not step.output_cut:
            step.output += line

    def _named(self, event: RunEvent, part: RunStep.Part = RunStep.Part.STEPS) -> Problem:
        """Return the event's problem, with the step's title in front where it does not name the step already."""
        problem = Problem.from_json(event.data)
        step = self._steps.get((part, event.step))
        if step is None or step.title in problem.what:
            return problem
        return replace(problem, what=f"{step.title}: {problem.what}")

    _acts: ClassVar[dict[str, Callable[["Folding", RunEvent], None]]] = {
        "begin": _begin,
        "planned": _planned,
        "found": _found,
        "refused": _refused,
        "intent": _intent,
        "output": _output,
        "done": _done,
        "failed": _failed,
        "back_out": _back_out,
        "undo": _undo,
        "undone": _undone,
        "stuck": _stuck,
        "retry": _resumed,
        "acknowledged": _acknowledged,
        "commit": _commit,
        "tail_intent": _tail_intent,
        "tail_done": _tail_done,
        "waiting": _waiting,
        "end": _end,
    }


def _views(event: RunEvent, key: str) -> tuple[StepView, ...]:
    try:
        return _STEPS.validate_python(event.data.get(key, ()))[:STEP_LIMIT]
    except ValidationError:
        return ()


def _problems(event: RunEvent) -> list[Problem]:
    given = event.data.get("problems", ())
    items = given if isinstance(given, list | tuple) else ()
    return [Problem.from_json(item) for item in items if isinstance(item, dict)]
