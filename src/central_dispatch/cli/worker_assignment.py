"""`worker assignment`: what queue workers of a name serve, kept in the database and followed while they run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from central_dispatch.cli import screen

if TYPE_CHECKING:
    from central_dispatch.jobs.assignment import Assignment


@click.group()
def assignment() -> None:
    """Say what queue workers of a name serve, and how many jobs at a time. They follow a change within a second."""


@assignment.command("list")
@screen.command
def list_assignments() -> None:
    """List the assignments, and how many queue workers follow each."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import queries

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    followers: dict[str, list[str]] = {}
    for one in queries.parents():
        followers.setdefault(one.assignment, []).append(f"{one.host}:{one.pid}")
    values = [
        {
            "name": one.name,
            "slots": one.slots,
            "queues": one.queues,
            "host": one.host,
            "workers": followers.get(one.name, []),
            "changed_at": one.changed_at,
        }
        for one in queries.assignments()
    ]
    shown = [value | {"queues": queues_in_words(value["queues"])} for value in values]
    columns = {"name": "Name", "slots": "At a time", "queues": "Queues", "host": "Meant for", "workers": "Followed by"}
    empty = "There is no assignment: central-dispatch worker assignment set NAME"
    screen.show(
        values,
        lambda console: console.print(screen.table(shown, columns, ("queues", "workers")) if shown else empty),
    )


@assignment.command("set")
@screen.command
@click.argument("name")
@click.option("--queue-name", "names", multiple=True, metavar="QUEUE", help="Serve this queue; may be repeated.")
@click.option("--all-queues", is_flag=True, help="Serve all queues, those of later versions, too.")
@click.option("-m", "--max-processes", "slots", type=click.IntRange(1, 256), help="Jobs at a time.")
@click.option("--host", help="Where it is meant to run; for people.")
def set_assignment(name: str, names: tuple[str, ...], slots: int | None, host: str | None, *, all_queues: bool) -> None:
    """Make an assignment, or change it: what is not named stays. A new one: all queues, one job at a time."""
    made = put(name, names, slots, host, all_queues=all_queues)
    screen.say(to_json(made), f"{name}: {in_words(made)}.")


@assignment.command("remove")
@screen.command
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_assignment(name: str, *, yes: bool) -> None:
    """Remove an assignment that no queue worker follows."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import assignments

    screen.confirm(f"Remove the assignment {name}?", yes=yes)
    was = dispatcher.granted(assignments.remove(dispatcher.actor(), name))
    screen.say(to_json(was), f"{name} is removed; it was: {in_words(was)}.")


def put(name: str, names: Sequence[str], slots: int | None, host: str | None, *, all_queues: bool) -> "Assignment":
    """Write an assignment, or end the command."""
    from central_dispatch.cli import dispatcher, exit_codes
    from central_dispatch.cli.worker_execute import known_queues
    from central_dispatch.provisioning.problem import Problem
    from central_dispatch.worker_manager import assignments

    if names and all_queues:
        raise screen.Stop(exit_codes.USAGE, Problem("Name queues with --queue-name, or --all-queues"))
    queues = () if all_queues else known_queues(tuple(names)) or None
    return dispatcher.granted(assignments.put(dispatcher.actor(), name, queues=queues, slots=slots, host=host))


def to_json(one: "Assignment") -> dict[str, Any]:
    """Return an assignment as `--json` prints it."""
    return {"name": one.name, "queues": list(one.queues), "slots": one.slots, "host": one.host}


def in_words(one: "Assignment") -> str:
    """Return an assignment as a sentence says it."""
    return f"{queues_in_words(one.queues)}, {one.slots} at a time"


def queues_in_words(queues: Sequence[str]) -> str:
    """Return the queues of an assignment: none named means all."""
    return ", ".join(queues) if queues else "all queues"
