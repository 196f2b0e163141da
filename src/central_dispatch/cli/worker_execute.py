"""`worker execute`, `worker run-service`, `worker show-configuration`: queue workers. The parent imports no Django."""

import codecs
import getpass
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from central_dispatch.cli import exit_codes, places, screen
from central_dispatch.jobs.job import MAX_PAYLOAD_BYTES, NewJob
from central_dispatch.jobs.kinds import KINDS, Kind, find_kind
from central_dispatch.jobs.ports import Store, StoreDown
from central_dispatch.jobs.text import one_line, printable
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker.parent import Wishes

#: What the fork server does before its first fork, so that every child finds it done.
PREPARE = ("central_dispatch.portal.setup:prepare_django",)


@click.command()
@screen.command
@click.option("--queue-name", "names", multiple=True, metavar="QUEUE", help="Serve this queue; may be repeated.")
@click.option(
    "-m", "--max-processes", "slots", type=click.IntRange(1, 256), default=1, show_default=True, help="Jobs at a time."
)
@click.option("--assignment", default="", metavar="NAME", help="Serve what this says, and follow its changes.")
@click.option("--until-empty", is_flag=True, help="End when nothing is due: for cron.")
@click.option(
    "--drain-limit", "drain_s", type=click.FloatRange(0), help="Bound of the grace time at the end, in seconds."
)
@click.option("--recycle-after", type=click.IntRange(1), default=1000, show_default=True, help="Jobs of one child.")
@click.option("--recycle-above", type=click.IntRange(1), default=400, show_default=True, help="MiB of one child.")
@click.option("--memory-limit", type=click.IntRange(0), default=0, help="MiB of one process. 0: the machine's memory.")
def execute(
    names: tuple[str, ...], slots: int, assignment: str, drain_s: float | None, recycle_after: int,
    recycle_above: int, memory_limit: int, *, until_empty: bool,
) -> None:  # fmt: skip
    """Run the jobs of all queues, of those named, or as an assignment says.

    SIGTERM or Ctrl-C: running jobs get their grace time; a second one does not wait for it.
    """
    from central_dispatch.worker.execute import Setup, run
    from central_dispatch.worker.timing import Recycling

    queues = known_queues(names) if names else tuple(KINDS)
    store = opened_store()
    broker = opened_broker()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    setup = Setup(
        directory=work_directory(),
        prepare=PREPARE,
        drain_s=float("inf") if drain_s is None else drain_s,
        recycling=Recycling(jobs=recycle_after, resident_bytes=recycle_above << 20, limit_bytes=memory_limit << 20),
    )
    logging.getLogger(__name__).info("%d at a time, queues: %s", slots, ", ".join(queues))
    try:
        ended = run(store, broker, queues, slots, heeding_signals(), setup, until_empty=until_empty)
    except OSError as error:
        raise screen.Stop(exit_codes.FAILED, _files(error)) from None
    finally:
        broker.close()
        store.close()
    if ended.problem:
        raise screen.Stop(exit_codes.FAILED, ended.problem)
    words = "Nothing is due any more" if ended.reason == "empty" else "Stopped"
    value = {"reason": ended.reason, "executions": ended.executions}
    screen.say(value, f"{words}; {ended.executions} executions.")


@click.command("run-service")
@screen.command
@click.argument("kind")
@click.argument("payload", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-p", "--preserve-payload", is_flag=True, help="Keep the payload's file when the job is finished.")
def run_service(kind: str, payload: Path, *, preserve_payload: bool) -> None:
    """Run one job of a kind here, in the foreground, with the payload of a JSON file. It is recorded as any other.

    What it prints goes to standard error. When it is finished the file is removed. Exit code 0: finished.
    """
    from central_dispatch.worker.execute import Setup, run_one

    found = known_kind(kind)
    job = NewJob(
        kind=found.name,
        payload=read_payload(payload),
        payload_version=found.payload_version,
        enqueued_by=os.environ.get("SUDO_USER") or getpass.getuser(),
    )
    store, broker = opened_store(), opened_broker()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(message)s")
    setup = Setup(
        directory=work_directory(),
        prepare=PREPARE,
        echo=_Echo(),
        on_progress=lambda _claim, progress: click.echo(
            f"{progress.percent:3.0f} % {one_line(progress.words)}", err=True
        ),
    )
    try:
        number, ended = run_one(store, broker, job, heeding_signals(), setup)
    except StoreDown as error:
        raise screen.Stop(exit_codes.AWAY, Problem("The job database cannot be used", str(error))) from None
    except OSError as error:
        raise screen.Stop(exit_codes.FAILED, _files(error)) from None
    finally:
        broker.close()
        store.close()
    if ended.problem:
        raise screen.Stop(exit_codes.FAILED, ended.problem)
    _show_ended(number, payload if not preserve_payload else None)


class _Echo:
    """Shows what a job prints: as it is where a program reads, harmless on a terminal."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, piece: bytes) -> None:
        shown = printable(self._decoder.decode(piece)).encode() if sys.stderr.isatty() else piece
        sys.stderr.buffer.write(shown)
        sys.stderr.flush()


def _files(error: OSError) -> Problem:
    mend = "Let this user write there, or name another place with --home."
    return Problem("The worker cannot use its files", str(error), mend)


def _show_ended(number: int, removed: Path | None) -> None:
    from central_dispatch.cli import job_screen
    from central_dispatch.worker_manager.enqueueing import record_run

    found = job_screen.find(number)
    record_run(job_screen.dispatcher.actor(), found.pk, found.queue, found.state)
    finished = found.state == "finished"
    if finished and removed is not None:
        removed.unlink(missing_ok=True)
    screen.show(job_screen.to_json(found), job_screen.words(found))
    if not finished:
        raise screen.Ended(exit_codes.FAILED)


@click.command("show-configuration")
@screen.command
def show_configuration() -> None:
    """Show every queue: attempts, delays, limits, retention, and how much is in it."""
    from central_dispatch.cli.queue import show_queues

    show_queues(settings=True)


def known_kind(name: str) -> Kind:
    """Return the kind of that name, however it is spelled, or end the command with the list of those known."""
    found = find_kind(name)
    if found is None:
        raise screen.Stop(
            exit_codes.NOT_FOUND,
            Problem(f"There is no queue “{name}”", mend=f"The queues are: {', '.join(sorted(KINDS))}."),
        )
    return found


def known_queues(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the queues of these names, each once."""
    return tuple(dict.fromkeys(known_kind(name).name for name in names))


def read_payload(path: Path) -> dict[str, Any]:
    """Read a payload's file; `-` is standard input."""
    try:
        text = sys.stdin.read(MAX_PAYLOAD_BYTES + 1) if str(path) == "-" else path.read_text(encoding="utf-8")
        value = json.loads(text)
    except (OSError, ValueError) as error:
        raise screen.Stop(exit_codes.FAILED, Problem(f"{path} holds no JSON", str(error), field="payload")) from None
    if not isinstance(value, dict):
        raise screen.Stop(
            exit_codes.FAILED, Problem(f"{path} holds no JSON object", mend="Write {…}.", field="payload")
        )
    if len(text.encode()) > MAX_PAYLOAD_BYTES:
        mend = "Put what is large into a file that the payload names."
        raise screen.Stop(exit_codes.FAILED, Problem(f"{path} is larger than {MAX_PAYLOAD_BYTES} bytes", mend=mend))
    return value


def work_directory() -> Path:
    """Return where executions have their directories."""
    return places.home_directory() / "dispatcher" / "work"


def opened_store() -> Store:
    """Return the store, or end the command where there is no dispatcher."""
    from central_dispatch.stores.places import open_store

    directory = places.home_directory() / "dispatcher"
    if not (directory / "secret-key").exists():
        raise screen.Stop(
            exit_codes.NOT_FOUND,
            Problem(
                "There is no dispatcher here",
                f"{directory} has never been started",
                "Start it with central-dispatch up (or serve), or name another place with --home.",
            ),
        )
    return open_store(places.home_directory())


def opened_broker() -> Any:  # noqa: ANN401 a Broker
    """Return the broker."""
    from central_dispatch.brokers.places import open_broker

    return open_broker(places.home_directory())


def heeding_signals() -> Wishes:
    """Return wishes that SIGTERM and Ctrl-C set: the first to drain, the second to hurry."""
    wishes = Wishes()

    def stop(*_: object) -> None:
        (wishes.hurry if wishes.stop.is_set() else wishes.stop).set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    return wishes
