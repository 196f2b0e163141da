"""`job`: single jobs: make, look at, interrupt, try again, cancel."""

from typing import TYPE_CHECKING, Any

import click

from central_dispatch.cli import exit_codes, screen
from central_dispatch.cli.moments import Moment
from central_dispatch.provisioning.problem import Problem

if TYPE_CHECKING:
    from central_dispatch.worker_manager.job_search import Place, Wanted


@click.group()
def job() -> None:
    """Jobs: pieces of background work, each in a queue of its kind."""


@job.command("enqueue")
@screen.command
@click.argument("kind")
@click.argument("payload", default="", metavar="[PAYLOAD.json]")
@click.option("--priority", type=click.IntRange(0, 9), default=5, show_default=True, help="9 is first.")
@click.option("--unique-key", default="", help="None is made while one of this key waits or runs.")
def enqueue_job(kind: str, payload: str, priority: int, unique_key: str) -> None:
    """Make a job; its payload is read from a file, or from standard input by the name -."""
    from pathlib import Path

    from central_dispatch.cli import dispatcher
    from central_dispatch.cli.worker_execute import known_kind, read_payload
    from central_dispatch.worker_manager.enqueueing import enqueue_job as enqueue

    found = known_kind(kind)
    value = read_payload(Path(payload)) if payload else {}
    made = enqueue(dispatcher.actor(), found.name, value, priority=priority, unique_key=unique_key or None)
    number = dispatcher.granted(made)
    screen.say({"id": number, "queue": found.name}, f"Job {number} waits in {found.name}.")


@job.command("list")
@screen.command
@click.option("--queue-name", "queue", default="", metavar="QUEUE", help="Only those of this queue.")
@click.option(
    "--state", type=click.Choice(["waiting", "running", "finished", "in_error", "interrupted"]), help="Only those."
)
@click.option("--batch", type=int, help="Only those of this batch.")
@click.option("--record", default="", help="Only those about this record.")
@click.option("--instance", default="", metavar="ID", help="Only those about this managed instance.")
@click.option("--error", default="", metavar="TEXT", help="Only those whose error has these words.")
@click.option("--since", type=Moment(), help="From then on: 2h, 7d, or 2026-11-24 14:30.")
@click.option("--until", type=Moment(), help="Before that time.")
@click.option(
    "--order",
    type=click.Choice(["newest", "oldest", "started", "ended", "due", "expires"]),
    help="By which time, which --since and --until then mean. Default: that of the state.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=30, show_default=True, help="How many.")
@click.option("--after", type=int, metavar="ID", help="Go on after this job of the list before.")
def list_jobs(queue: str, state: str | None, limit: int, after: int | None, **given: Any) -> None:  # noqa: ANN401 the options above
    """List jobs, newest first; those that wait in the order in which they are due."""
    from central_dispatch.cli import job_screen
    from central_dispatch.cli.worker_execute import known_kind
    from central_dispatch.worker_manager.job_search import Wanted, find

    name = known_kind(queue).name if queue else ""
    narrowing: dict[str, Any] = {key: value for key, value in given.items() if value}
    wanted = Wanted(queue=name, state=state or "", **narrowing)
    found = find(wanted, after=_after(wanted, after) if after else None, size=limit)
    values = [job_screen.summary(one) for one in found.jobs]
    columns = {"id": "Id", "queue": "Queue", "state": "State", "waiting_for": "For", "attempts": "Tries"}
    more = {"percent": "%", "created_at": "Made", "error": "Error"}
    stopped = found.looked_back_to
    none = "There is no such job." if wanted.narrowed else "There is no job."
    screen.rows(values, columns | more, "No such job was found so far." if stopped else none, ("error",))
    if stopped is not None:
        # A list that ends here is not all there is: programs are told as well, on standard error.
        words = f"Only the first of many jobs were looked through: go on with --after {stopped.job}, or narrow it with"
        screen.people().print(f"{words} --since, --until or --queue-name.", style="dim")
    elif found.later and not screen.wants_json():
        screen.people().print(f"More: --after {found.jobs[-1].pk}", style="dim")


def _after(wanted: "Wanted", number: int) -> "Place":
    """Return a job's place in the list, or end the command where it has none."""
    from central_dispatch.cli import job_screen
    from central_dispatch.worker_manager.job_search import place_of

    job = job_screen.find(number)
    if getattr(job, wanted.time) is None:
        why = f"it has no {wanted.time.removesuffix('_at').replace('_', ' ')}"
        mend = "Name a job of the list that was shown, with the same order."
        raise screen.Stop(exit_codes.FAILED, Problem(f"Job {number} is not in this list", why, mend, "--after"))
    return place_of(wanted, job)


@job.command("show")
@screen.command
@click.argument("number", type=int)
def show_job(number: int) -> None:
    """Show a job with its payload, its executions and what they printed."""
    from central_dispatch.cli import job_screen

    found = job_screen.find(number)
    screen.show(job_screen.to_json(found), job_screen.words(found))


@job.command("tail")
@screen.command
@click.argument("number", type=int)
@click.option("-f", "--follow", is_flag=True, help="Until the job ends. Ctrl-C leaves it alone.")
def tail_job(number: int, *, follow: bool) -> None:
    """Show what a job prints, its progress and its states. With --follow, exit code 0: finished; 4: any other end."""
    from central_dispatch.cli import job_tail

    job_tail.tail(number, follow=follow)


@job.command("locks")
@screen.command
@click.option("--resource", default="", help="Only this thing's, by its whole name.")
def list_locks(resource: str) -> None:
    """List what running jobs have locked, since when, and who waits for it."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager.locks import locks

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    found = [
        {
            "resource": one.resource,
            "job": one.job,
            "queue": one.queue,
            "mode": "shared" if one.shared else "alone",
            "since": one.taken_at.isoformat(timespec="milliseconds"),
            "worker": f"{one.host}:{one.pid}" if one.host else "",
            "waiting": [wait.job for wait in one.waiting],
        }
        for one in locks(resource)
    ]
    columns = {"resource": "Thing", "job": "Job", "queue": "Queue", "mode": "Mode", "since": "Since"}
    screen.rows(found, columns | {"worker": "Worker", "waiting": "Jobs that wait"}, "Nothing is locked.")


@job.command("interrupt")
@screen.command
@click.argument("number", type=int)
@click.option("--why", default="", help="For the record.")
def interrupt_job(number: int, why: str) -> None:
    """End a job: a waiting one at once; a running one is asked, then terminated, then killed with all it started."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    how = dispatcher.granted(services.interrupt(dispatcher.actor(), number, why))
    sentence = "is interrupted" if how == "interrupted" else "is told to end: central-dispatch job show says how it did"
    screen.say({"id": number, "how": how}, f"Job {number} {sentence}.")


@job.command("retry")
@screen.command
@click.argument("number", type=int)
def retry_job(number: int) -> None:
    """Try a job again that ended badly, with all its attempts; or run one now that waits for its time."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    how = dispatcher.granted(services.retry(dispatcher.actor(), number))
    screen.say({"id": number, "how": how}, f"Job {number} is due now.")


@job.command("cancel")
@screen.command
@click.argument("number", type=int)
@click.option("--why", default="", help="For the record.")
def cancel_job(number: int, why: str) -> None:
    """End a job that waits; one that runs is left alone."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import services

    dispatcher.granted(services.cancel(dispatcher.actor(), number, why))
    screen.say({"id": number, "how": "interrupted"}, f"Job {number} is cancelled.")
