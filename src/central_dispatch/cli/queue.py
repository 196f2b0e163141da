"""`queue`: all jobs of a kind: settings, pause, purge, dead letters."""

from dataclasses import asdict
from typing import Any

import click
from rich.console import Console

from central_dispatch.cli import exit_codes, screen
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.provisioning.problem import Problem


@click.group()
def queue() -> None:
    """Queues: one for each kind of job. Changes hold within a second, whatever runs."""


@queue.command("list")
@screen.command
def list_queues() -> None:
    """List the queues: how much waits, runs, and is in error."""
    show_queues(settings=False)


@queue.command("pause")
@screen.command
@click.argument("name")
def pause(name: str) -> None:
    """Let no further job of a queue start; those that run go on."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    found = _name(name)
    dispatcher.granted(services.pause(dispatcher.actor(), found))
    screen.say({"queue": found, "paused": True}, f"{found} is paused.")


@queue.command("resume")
@screen.command
@click.argument("name")
def resume(name: str) -> None:
    """Let the jobs of a queue start again."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    found = _name(name)
    dispatcher.granted(services.resume(dispatcher.actor(), found))
    screen.say({"queue": found, "paused": False}, f"{found} runs again.")


@queue.command("set")
@screen.command
@click.argument("name")
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE…")
def set_queue(name: str, assignments: tuple[str, ...]) -> None:
    """Change settings of a queue, such as max_attempts=5; an empty value means: none."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    found = _name(name)
    changes = dict(_assignment(text) for text in assignments)
    settings = dispatcher.granted(services.change_settings(dispatcher.actor(), found, changes))
    changed = ", ".join(f"{key} = {screen.plain(asdict(settings)[key]) or 'none'}" for key in changes)
    screen.say({"queue": found, "settings": asdict(settings)}, f"{found}: {changed}.")


@queue.command("purge")
@screen.command
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--why", default="", help="For the record.")
def purge(name: str, why: str, *, yes: bool) -> None:
    """End all that waits in a queue, as interrupted; what runs goes on."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    found = _name(name)
    if not yes:
        click.confirm(f"End everything that waits in {found}?", abort=True, err=True)
    count = dispatcher.granted(services.purge(dispatcher.actor(), found, why))
    screen.say({"queue": found, "jobs": count}, f"{count} jobs of {found} are ended.")


@queue.command("delete")
@screen.command
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--why", default="", help="For the record.")
def delete(name: str, why: str, *, yes: bool) -> None:
    """End all that waits in a queue, and give up its dead letters. The queue itself stays: it is its kind's."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    found = _name(name)
    if not yes:
        click.confirm(f"End everything that waits in {found}, and give up its dead letters?", abort=True, err=True)
    count = dispatcher.granted(services.delete(dispatcher.actor(), found, why))
    screen.say({"queue": found, "jobs": count}, f"{count} jobs of {found} are given up.")


@queue.command("requeue-failed")
@screen.command
@click.argument("name")
def requeue_failed(name: str) -> None:
    """Try all dead letters of a queue again, with all their attempts."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    found = _name(name)
    count = dispatcher.granted(services.requeue_failed(dispatcher.actor(), found))
    screen.say({"queue": found, "jobs": count}, f"{count} jobs of {found} are due again.")


def show_queues(*, settings: bool) -> None:
    """Show all queues, with their settings or without."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import queries

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    found: list[dict[str, Any]] = [
        {
            "queue": one.name,
            "waiting": one.waiting,
            "running": one.running,
            "in_error": one.in_error,
            "last_run_at": one.last_run_at,
            "next_run_at": one.next_run_at,
            "says": one.kind.says,
            "settings": asdict(one.settings),
        }
        for one in queries.queues()
    ]
    if settings:
        screen.show(found, lambda console: _print_settings(console, found))
        return
    columns = {"queue": "Queue", "waiting": "Waiting", "running": "Running", "in_error": "In error"}
    more = {"paused": "Paused", "next_run_at": "Next run", "says": "What it does"}
    screen.rows([{**one, "paused": one["settings"]["paused"]} for one in found], columns | more, "")


def _print_settings(console: Console, found: list[dict[str, Any]]) -> None:
    for one in found:
        pairs = {key: value for key, value in one.items() if key not in {"settings", "says"}} | one["settings"]
        console.print(screen.facts({key.replace("_", " ").capitalize(): value for key, value in pairs.items()}))
        console.print()


def _name(name: str) -> str:
    from central_dispatch.cli.worker_execute import known_kind

    return known_kind(name).name


def _assignment(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if not equals:
        keys = ", ".join(asdict(QueueSettings()))
        raise screen.Stop(exit_codes.USAGE, Problem(f"“{text}” is not KEY=VALUE", mend=f"The keys: {keys}."))
    return key, value or None
