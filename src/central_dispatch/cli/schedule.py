"""`schedule`: jobs that make themselves, by a cron expression or a queue's period."""

from typing import Any

import click

from central_dispatch.cli import exit_codes, screen
from central_dispatch.provisioning.problem import Problem


@click.group()
def schedule() -> None:
    """Schedules: jobs that are made by themselves at their time, never two of one schedule at once."""


@schedule.command("list")
@screen.command
def list_schedules() -> None:
    """List the schedules, and the queues with a period: when each ran and runs next."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager.timetable import timetable

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    values: list[dict[str, Any]] = [
        {
            "name": one.name,
            "queue": one.queue,
            "when": one.when,
            "zone": one.zone,
            "on": one.is_on,
            "next_run_at": one.next_run_at,
            "last_run_at": one.last_run_at,
            "last_job": one.last_job,
            "last_state": one.last_state,
            "period": one.is_period,
        }
        for one in timetable()
    ]
    shown = [
        one
        | {
            "when": f"{one['when']} {one['zone']}".strip(),
            "last": f"{one['last_job'] or ''} {one['last_state'].replace('_', ' ')}".strip(),
        }
        for one in values
    ]
    columns = {"name": "Name", "queue": "Queue", "when": "When", "on": "On", "next_run_at": "Next run"}
    columns |= {"last_run_at": "Last run", "last": "Last job"}
    if screen.wants_json():
        screen.show(values, lambda _console: None)
    else:
        screen.rows(shown, columns, "There is no schedule.", ("name",), ("queue", "last_run_at"))


@schedule.command("set")
@screen.command
@click.argument("name")
@click.option("--queue-name", "queue", default="", metavar="QUEUE", help="The kind of job that it makes.")
@click.option("--cron", "expression", default="", metavar="'M H D MON DOW'", help="Five fields, as cron has them.")
@click.option("--zone", default="", help="Whose time that is, such as Europe/Berlin.  [default: UTC]")
@click.option("--payload", default="", metavar="FILE", help="The jobs' payload as JSON; - is standard input.")
@click.option("--priority", type=click.IntRange(0, 9), help="9 is first.  [default: 5]")
def set_schedule(name: str, queue: str, expression: str, zone: str, payload: str, priority: int | None) -> None:
    """Make a schedule, or change it: what is not named stays.

    Times that summer time leaves out are made up for right after the gap; those that come twice run once.
    """
    from pathlib import Path

    from central_dispatch.cli import dispatcher
    from central_dispatch.cli.worker_execute import known_kind, read_payload
    from central_dispatch.worker_manager import schedules, timetable

    if not (queue and expression) and timetable.schedule(name) is None:
        mend = "A new one needs --queue-name and --cron. Those there are: central-dispatch schedule list"
        raise screen.Stop(exit_codes.USAGE, Problem(f"There is no schedule “{name}” to change", mend=mend))
    put = schedules.put(
        dispatcher.actor(),
        name,
        known_kind(queue).name if queue else None,
        expression or None,
        zone=zone or None,
        payload=read_payload(Path(payload)) if payload else None,
        priority=priority,
    )
    made = dispatcher.granted(put)
    value = {"name": name, "queue": made.queue, "cron": made.expression, "zone": made.zone, "on": made.is_on}
    when = f"runs next {screen.plain(made.next_run_at)}" if made.next_run_at else "is switched off"
    screen.say(value | {"next_run_at": made.next_run_at}, f"{name} {when}.")


@schedule.command("run-now")
@screen.command
@click.argument("name")
def run_now(name: str) -> None:
    """Make a schedule's job at once, or that of a queue with a period. Its next run stays as it is."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import schedules

    job = dispatcher.granted(schedules.run_now(dispatcher.actor(), name))
    screen.say({"name": name, "job": job}, f"Job {job} of {name} waits.")


@schedule.command("on")
@screen.command
@click.argument("name")
def switch_on(name: str) -> None:
    """Switch a schedule on; what it missed meanwhile is not made up for."""
    _switch(name, on=True)


@schedule.command("off")
@screen.command
@click.argument("name")
def switch_off(name: str) -> None:
    """Switch a schedule off; a job of it that waits or runs goes on."""
    _switch(name, on=False)


@schedule.command("remove")
@screen.command
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_schedule(name: str, *, yes: bool) -> None:
    """Remove a schedule; a job of it that waits or runs goes on."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import schedules

    screen.confirm(f"Remove the schedule {name}?", yes=yes)
    was = dispatcher.granted(schedules.remove(dispatcher.actor(), name))
    screen.say({"name": name, "queue": was.queue, "cron": was.expression}, f"{name} is removed.")


def _switch(name: str, *, on: bool) -> None:
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import schedules

    found = dispatcher.granted(schedules.switch(dispatcher.actor(), name, on=on))
    next_run = screen.plain(found.next_run_at)
    sentence = f"{name} is on and runs next {next_run}." if on else f"{name} is off."
    screen.say({"name": name, "on": found.is_on, "next_run_at": found.next_run_at}, sentence)
