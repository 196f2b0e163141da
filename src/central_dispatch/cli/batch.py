"""`batch`: what one message was split into, as a whole."""

from typing import TYPE_CHECKING, Any

import click

from central_dispatch.cli import exit_codes, screen
from central_dispatch.provisioning.problem import Problem

if TYPE_CHECKING:
    from central_dispatch.worker_manager.batches import Progress
    from central_dispatch.worker_manager.models import Batch


@click.group()
def batch() -> None:
    """Batches: many jobs that one message was split into (see mainQueue)."""


@batch.command("list")
@screen.command
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
def list_batches(limit: int) -> None:
    """List batches, newest first."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import batches

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    found = [_to_json(batches.progress(one)) for one in batches.all_batches()[:limit]]
    columns = {"id": "Id", "kind": "Kind", "says": "Of", "percent": "%", "made": "Jobs", "waiting": "Waiting"}
    more = {"running": "Running", "finished": "Finished", "in_error": "In error", "interrupted": "Interrupted"}
    screen.rows(found, columns | more, "There is no batch.")


@batch.command("show")
@screen.command
@click.argument("number", type=int)
def show_batch(number: int) -> None:
    """Show how far a batch is, and its first errors."""
    batch = _find(number)  # makes Django ready, too
    from central_dispatch.worker_manager import batches

    found = _to_json(batches.progress(batch))
    errors = found.pop("first_errors")
    screen.show(
        found | {"first_errors": errors},
        lambda console: console.print(
            screen.facts(
                {key.replace("_", " ").capitalize(): value for key, value in found.items()}
                | {f"Job {one['job']}": one["error"] for one in errors}
            )
        ),
    )


@batch.command("interrupt")
@screen.command
@click.argument("number", type=int)
@click.option("--why", default="", help="For the record.")
def interrupt_batch(number: int, why: str) -> None:
    """End a batch: no more is made of it, what waits ends at once, what runs is asked to, then killed."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import batches

    count = dispatcher.granted(batches.interrupt(dispatcher.actor(), _find(number).pk, why))
    screen.say({"id": number, "jobs": count}, f"{count} jobs of batch {number} end.")


@batch.command("cancel")
@screen.command
@click.argument("number", type=int)
@click.option("--why", default="", help="For the record.")
def cancel_batch(number: int, why: str) -> None:
    """End what waits of a batch; what runs is left alone."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import batches

    count = dispatcher.granted(batches.cancel(dispatcher.actor(), _find(number).pk, why))
    screen.say({"id": number, "jobs": count}, f"{count} jobs of batch {number} are cancelled.")


@batch.command("retry-failed")
@screen.command
@click.argument("number", type=int)
@click.option("--interrupted", is_flag=True, help="Those that were interrupted or cancelled, too.")
def retry_failed(number: int, *, interrupted: bool) -> None:
    """Try all dead letters of a batch again, with all their attempts."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import batches

    found = _find(number).pk
    count = dispatcher.granted(batches.retry_failed(dispatcher.actor(), found, interrupted=interrupted))
    screen.say({"id": number, "jobs": count}, f"{count} jobs of batch {number} are due again.")


def _find(number: int) -> "Batch":
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import batches

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    found = batches.find(number)
    if found is None:
        mend = "Look at the list: central-dispatch batch list"
        raise screen.Stop(exit_codes.NOT_FOUND, Problem(f"There is no batch {number}", mend=mend))
    return found


def _to_json(progress: "Progress") -> dict[str, Any]:
    batch, counts = progress.batch, progress.counts
    return {
        "id": batch.pk,
        "kind": batch.kind,
        "says": batch.says,
        "job": batch.job,
        "created_by": batch.created_by,
        "created_at": batch.created_at.isoformat(timespec="seconds"),
        "expected": batch.expected,
        "splitting": progress.splitting,
        "percent": round(progress.percent, 1),
        "made": counts.made,
        "waiting": counts.waiting,
        "running": counts.running,
        "finished": counts.finished,
        "in_error": counts.in_error,
        "interrupted": counts.interrupted,
        "rate": round(progress.rate, 2),
        "left_s": round(progress.left_s, 1) if progress.left_s is not None else None,
        "first_errors": [{"job": job, "error": error} for job, error in progress.first_errors],
    }
