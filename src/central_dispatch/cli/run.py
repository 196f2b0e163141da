"""`run`: what is done on the hosts, live; and what to do about a run that is stuck."""

import click

from central_dispatch.cli import screen


@click.group()
def run() -> None:
    """Look at runs, each one execution of a plan on one instance, and decide about a stuck one."""


@run.command("list")
@screen.command
@click.option("--open", "open_only", is_flag=True, help="Only those that have not ended.")
@click.option("--instance", "name", default="", help="Only those of this instance.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=30, show_default=True, help="How many, newest first.")
def list_runs(*, open_only: bool, name: str, limit: int) -> None:
    """List runs, newest first."""
    from central_dispatch.cli import dispatcher, run_screen

    instance = dispatcher.find_instance(name).pk if name else ""
    found = dispatcher.queries.runs(instance=instance, open_only=open_only)[:limit]
    columns = {
        "created_at": "Asked for",
        "kind": "Kind",
        "instance": "Instance",
        "worker": "Worker",
        "state": "State",
        "requested_by": "By",
        "id": "Id",
    }
    screen.rows([run_screen.summary(one) for one in found], columns, "There is no run.")


@run.command("show")
@screen.command
@click.argument("run_id")
def show_run(run_id: str) -> None:
    """Show a run with its steps, what each changes, and their problems."""
    from central_dispatch.cli import dispatcher, run_screen

    found = dispatcher.find_run(run_id)
    screen.show(run_screen.to_json(found), run_screen.words(found, changes=True))


@run.command("watch")
@screen.command
@click.argument("run_id")
@click.option("--timeout", "timeout_s", type=float, default=0, help="Stop watching after so many seconds. 0: never.")
def watch_run(run_id: str, timeout_s: float) -> None:
    """Watch a run until it ends. Exit code 0: done; 4: backed out, refused, lost or stuck."""
    from central_dispatch.cli import dispatcher, run_screen

    run_screen.finish(run_screen.watch(dispatcher.find_run(run_id).pk, timeout_s))


@run.command("back-out")
@screen.command
@click.argument("run_id")
@click.option("--wait/--no-wait", default=True, help="Watch it to its end.")
def back_out_run(run_id: str, *, wait: bool) -> None:
    """Have a run under way turn round at its next step boundary."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.services import runs

    found = dispatcher.granted(runs.back_out(dispatcher.actor(), dispatcher.find_run(run_id).pk))
    turned(found.pk, wait=wait)


@run.command("retry")
@screen.command
@click.argument("run_id")
@click.option("--wait/--no-wait", default=True, help="Watch it to its end.")
def retry_run(run_id: str, *, wait: bool) -> None:
    """Have a stuck run try again what it is stuck at."""
    from central_dispatch.cli import dispatcher, run_screen
    from central_dispatch.fleet.services import runs

    found = dispatcher.granted(runs.retry_stuck(dispatcher.actor(), dispatcher.find_run(run_id).pk))
    run_screen.finish(run_screen.watch(found.pk) if wait else found)


@run.command("acknowledge")
@screen.command
@click.argument("run_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait/--no-wait", default=True, help="Watch it to its end.")
def acknowledge_run(run_id: str, *, yes: bool, wait: bool) -> None:
    """Take over what a run is stuck at: it stays on the host, and the run carries on with the rest."""
    from central_dispatch.cli import dispatcher, run_screen
    from central_dispatch.fleet.services import runs

    found = dispatcher.find_run(run_id)
    if not yes:
        click.confirm(f"{found.problem}\nLeave it on the host, and see to it by hand?", abort=True, err=True)
    answer = dispatcher.granted(runs.acknowledge(dispatcher.actor(), found.pk))
    run_screen.finish(run_screen.watch(answer.pk) if wait else answer)


def turned(run_id: str, *, wait: bool) -> None:
    """Show how a run that was asked to turn round ended: backed out is what was wanted."""
    from central_dispatch.cli import dispatcher, run_screen

    found = run_screen.watch(run_id) if wait else dispatcher.find_run(run_id)
    if found.is_open or found.state in {"backed_out", "withdrawn"}:
        screen.show(run_screen.to_json(found), run_screen.words(found))
    else:
        run_screen.finish(found)
