"""`queue`: all jobs of a kind: settings, pause, purge, dead letters."""

from dataclasses import asdict

import click

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
    from central_dispatch.cli import dispatcher, queue_screen

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    queue_screen.show_list()


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


@queue.command("show")
@screen.command
@click.argument("name")
def show_queue(name: str) -> None:
    """Show a queue: all its settings, what is in it, and who serves it."""
    from central_dispatch.cli import dispatcher, queue_screen

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    queue_screen.show_queue(_name(name))


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
    count = _count(found, "waiting")
    screen.confirm(f"End the {count} jobs that wait in {found}?", yes=yes)
    with screen.steps(f"Ending what waits in {found}") as steps:
        done = dispatcher.granted(services.purge(dispatcher.actor(), found, why, progress=steps))
    screen.say({"queue": found, "jobs": done}, f"{done} jobs of {found} are ended.")


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
    counts = f"the {_count(found, 'waiting')} jobs that wait in {found}, and give up its {_count(found, 'in_error')}"
    screen.confirm(f"End {counts} dead letters?", yes=yes)
    with screen.steps(f"Giving up what is in {found}") as steps:
        done = dispatcher.granted(services.delete(dispatcher.actor(), found, why, progress=steps))
    screen.say({"queue": found, "jobs": done}, f"{done} jobs of {found} are given up.")


@queue.command("requeue-failed")
@screen.command
@click.argument("name")
def requeue_failed(name: str) -> None:
    """Try all dead letters of a queue again, with all their attempts. A single one: job retry."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    found = _name(name)
    with screen.steps(f"Requeueing the dead letters of {found}") as steps:
        done = dispatcher.granted(services.requeue_failed(dispatcher.actor(), found, progress=steps))
    left = steps.total - done
    kept = f" {left} stay: their unique key is held by a job that waits or runs." if left else ""
    screen.say({"queue": found, "jobs": done, "left": left}, f"{done} jobs of {found} are due again.{kept}")


def _count(name: str, state: str) -> int:
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import queries

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    return queries.jobs(queue=name, state=state).count()


def _name(name: str) -> str:
    from central_dispatch.cli.worker_execute import known_kind

    return known_kind(name).name


def _assignment(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if not equals:
        keys = ", ".join(asdict(QueueSettings()))
        raise screen.Stop(exit_codes.USAGE, Problem(f"“{text}” is not KEY=VALUE", mend=f"The keys: {keys}."))
    return key, value or None
