"""`job`: single jobs: make, look at, interrupt, try again, cancel."""

import click

from central_dispatch.cli import screen


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
@click.option("--queue-name", "queue", default="", help="Only those of this queue.")
@click.option(
    "--state", type=click.Choice(["waiting", "running", "finished", "in_error", "interrupted"]), help="Only those."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=30, show_default=True, help="How many, newest first.")
def list_jobs(queue: str, state: str | None, limit: int) -> None:
    """List jobs, newest first."""
    from central_dispatch.cli import job_screen
    from central_dispatch.cli.worker_execute import known_kind
    from central_dispatch.worker_manager import queries

    name = known_kind(queue).name if queue else ""
    found = queries.jobs(queue=name, state=state or "")[:limit]
    columns = {
        "id": "Id",
        "queue": "Queue",
        "state": "State",
        "waiting_for": "For",
        "attempts": "Attempts",
        "percent": "%",
        "created_at": "Made",
        "error": "Error",
    }
    screen.rows([job_screen.summary(one) for one in found], columns, "There is no job.")


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
