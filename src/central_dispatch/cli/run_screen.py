"""A run on the terminal: its steps as they go, its end in a sentence, its JSON."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from central_dispatch.cli import dispatcher, exit_codes, screen
from central_dispatch.fleet import queries
from central_dispatch.fleet.models import Run
from central_dispatch.provisioning.problem import Problem

#: How often a watched run is looked at, in seconds.
LOOK_S = 0.3
_GOOD = {"committed", "planned", "found"}
_SIGNS = {
    "untouched": "[dim]·[/]",
    "open": "[yellow]…[/]",
    "done": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "undoing": "[yellow]↶[/]",
    "undone": "[blue]↶[/]",
    "stuck": "[red]![/]",
    "acknowledged": "[blue]-[/]",
}


def to_json(run: Run) -> dict[str, Any]:
    """Return a run with its steps, as `--json` prints it."""
    return {
        **summary(run),
        "problem": run.problem.to_json() if run.problem else None,
        "problems": [problem.to_json() for problem in run.problems],
        "waiting": run.waiting.to_json() if run.waiting else None,
        "left": run.left,
        "found": [item.model_dump() for item in run.found],
        "steps": [
            {
                "part": step.part,
                "index": step.index,
                "name": step.name,
                "title": step.title,
                "state": step.state,
                "duration_s": step.duration.total_seconds() if step.duration else None,
                "changes": [change.model_dump() for change in step.changes],
                "problem": step.problem.to_json() if step.problem else None,
                "output": step.output,
            }
            for step in run.steps.all()
        ],
    }


def summary(run: Run) -> dict[str, Any]:
    """Return a run in one flat line."""
    return {
        "id": run.pk,
        "kind": run.kind,
        "instance": run.instance.name,
        "worker": run.worker.name,
        "state": run.state,
        "requested_by": run.requested_by,
        "created_at": run.created_at.isoformat(timespec="seconds"),
        "duration_s": run.duration.total_seconds() if run.duration else None,
    }


def steps_table(run: Run, *, changes: bool = False) -> Table:
    """Draw the steps with their state; `changes` says what each would change."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for step in run.steps.all():
        seconds = f"{step.duration.total_seconds():.2f} s" if step.duration else ""
        table.add_row(_SIGNS.get(step.state, " "), escape(step.title), f"[dim]{seconds}[/]")
        for change in step.changes if changes else ():
            table.add_row("", f"[dim]{escape(f'{change.verb} {change.what} {change.where}')}[/]", "")
        if step.problem:
            table.add_row("", f"[red]{escape(str(step.problem))}[/]", "")
    return table


def words(run: Run, *, changes: bool = False) -> Callable[[Console], None]:
    """Return what prints a whole run."""

    def printed(console: Console) -> None:
        console.print(f"[bold]{run.kind} {escape(run.instance.name)}[/] on {escape(run.worker.name)}  [dim]{run.pk}[/]")
        console.print(steps_table(run, changes=changes))
        for item in run.found:
            console.print(f"{item.whose:<10} {item.key}: {item.what}", markup=False)
        for thing in run.left:
            console.print(f"Left alone: {thing}", markup=False)
        console.print(ending(run), markup=False)

    return printed


def ending(run: Run) -> str:
    """Say in one sentence where the run stands."""
    took = f" in {run.duration.total_seconds():.1f} s" if run.duration else ""
    if run.state == Run.State.COMMITTED:
        return f"Done{took}. {run.instance.url}" if run.kind == Run.Kind.DEPLOY else f"Done{took}."
    if run.state == Run.State.STUCK:
        return "Stuck: central-dispatch run retry, or run acknowledge, decides how it goes on."
    if run.state == Run.State.PLANNED and run.problems:
        return "Not ready: this has to be mended first. Nothing was changed."
    if run.waiting:
        return f"Waiting: {run.waiting}"
    return f"{run.get_state_display()}{took}.".capitalize()


def watch(run_id: str, timeout_s: float = 0) -> Run:
    """Show a run until it ends or is stuck. A `timeout_s` that passes ends the command, not the run."""
    started = time.monotonic()
    with Live(console=screen.people(), refresh_per_second=8, transient=True) as live:
        while (run := _again(run_id)).is_open and not (run.state == Run.State.STUCK and not run.wish):
            live.update(_picture(run))
            if timeout_s and time.monotonic() - started > timeout_s:
                mend = f"It goes on by itself: central-dispatch run watch {run.pk}"
                raise screen.Stop(exit_codes.AWAY, Problem(f"The run has not ended within {timeout_s:g} s", mend=mend))
            time.sleep(LOOK_S)
    return run


def finish(run: Run, *, changes: bool = False) -> None:
    """Show a run that has ended, and end the command with its exit code and problems."""
    screen.show(to_json(run), words(run, changes=changes))
    # A plan that names problems was made as asked, but nothing can be deployed by it.
    if run.state in _GOOD and not run.problems:
        return
    if not screen.wants_json():
        for line in screen.problem_lines(dict.fromkeys([*run.problems, *([run.problem] if run.problem else [])])):
            screen.people().print(line, markup=False)
    raise screen.Ended(exit_codes.UNDONE)


def _picture(run: Run) -> RenderableType:
    head = f"{run.kind} {run.instance.name} on {run.worker.name}: {run.get_state_display()}"
    waiting = [escape(str(run.waiting))] if run.waiting else []
    return Group(escape(head), steps_table(run), *waiting)


def _again(run_id: str) -> Run:
    return queries.run(run_id) or dispatcher.missing_run(run_id)
