"""`restored`: what is to be done once after the dispatcher's database was put back from a backup."""

import click

from central_dispatch.cli import screen

_EXPLAINED = """\
A backup holds the jobs as they were when it was made. Queue workers that were given jobs since then, or before,
must not settle them in it: every permission given so far is made worthless, and the jobs that ran when the backup
was made are put back and run again. What they did after the backup was made, they do once more.

Call this once, after the database was put back and before (or right after) queue workers are started."""


@click.command()
@screen.command
@click.option("--yes", is_flag=True, help="Do not ask.")
def restored(*, yes: bool) -> None:
    """Say that the database was put back from a backup: no worker of before settles anything in it.

    Jobs that ran when the backup was made are put back, without counting an attempt, and run again.
    """
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager.restoring import restored as restore

    if not yes:
        screen.people().print(_EXPLAINED, markup=False)
    screen.confirm("Was the database put back from a backup?", yes=yes)
    freed = dispatcher.granted(restore(dispatcher.actor()))
    words = f"{len(freed)} jobs are put back" if freed else "No job ran in it"
    screen.say({"jobs": freed}, f"Every permission of before is worthless. {words}.")
