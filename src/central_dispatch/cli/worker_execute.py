"""`worker execute`, `worker run-service`, `worker show-configuration`: queue workers. The parent imports no Django."""

import codecs
import getpass
import json
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from central_dispatch.cli import exit_codes, logs, places, screen
from central_dispatch.jobs.job import MAX_PAYLOAD_BYTES, NewJob
from central_dispatch.jobs.kinds import KINDS, Kind, find_kind
from central_dispatch.jobs.ports import Store, StoreDown
from central_dispatch.jobs.text import one_line, printable
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker.parent import Wishes

if TYPE_CHECKING:
    from central_dispatch.worker.execute import Ended, Setup

_log = logging.getLogger(__name__)
#: What the fork server does before its first fork, so that every child finds it done.
PREPARE = ("central_dispatch.portal.setup:prepare_django",)


@click.command()
@screen.command
@click.option("--queue-name", "names", multiple=True, metavar="QUEUE", help="Serve this queue; may be repeated.")
@click.option("-m", "--max-processes", "slots", type=click.IntRange(1, 256), help="Jobs at a time.  [default: 1]")
@click.option("--assignment", default="", metavar="NAME", help="Serve what this says, and follow its changes.")
@click.option("--until-empty", is_flag=True, help="End when nothing is due: for cron.")
@click.option(
    "--drain-limit", "drain_s", type=click.FloatRange(0), help="Bound of the grace time at the end, in seconds."
)
@click.option("--recycle-after", type=click.IntRange(1), default=1000, show_default=True, help="Jobs of one child.")
@click.option("--recycle-above", type=click.IntRange(1), default=400, show_default=True, help="MiB of one child.")
@click.option("--memory-limit", type=click.IntRange(0), default=0, help="MiB of one process. 0: the machine's memory.")
@click.option(
    "--listen", default="", metavar="ADDRESS", help="Serve /metrics and /healthz: 127.0.0.1:9464, or unix:/PATH."
)
@logs.option
def execute(**given: Any) -> None:  # noqa: ANN401 the options above
    """Run the jobs of all queues, of those named, or as an assignment says.

    SIGTERM or Ctrl-C: running jobs get their grace time; a second one does not wait for it.
    """
    ended = _execute(_Options(**given))
    if ended.problem:
        raise screen.Stop(exit_codes.FAILED, ended.problem)
    words = "Nothing is due any more" if ended.reason == "empty" else "Stopped"
    value = {"reason": ended.reason, "executions": ended.executions}
    screen.say(value, f"{words}; {ended.executions} executions.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    names: tuple[str, ...]
    slots: int | None
    assignment: str
    until_empty: bool
    drain_s: float | None
    recycle_after: int
    recycle_above: int
    memory_limit: int
    listen: str
    log_format: str


def _execute(options: _Options) -> "Ended":
    from central_dispatch.worker.execute import run
    from central_dispatch.worker.monitor import listening

    if options.assignment and (options.names or options.slots is not None):
        what = "An assignment says which queues, and how many jobs at a time"
        mend = f"Change it: central-dispatch worker assignment set {options.assignment} …"
        raise screen.Stop(exit_codes.USAGE, Problem(what, "--queue-name and -m go without --assignment", mend))
    queues = known_queues(options.names) if options.names else tuple(KINDS)
    slots = options.slots or 1
    store, broker = opened_store(), opened_broker()
    logs.configure(options.log_format)
    setup = _setup(options)
    monitor = screen.granted(listening(options.listen, store, broker, setup.vitals)) if options.listen else None
    if monitor:
        _log.info("metrics and health are at %s", monitor.address)
        monitor.start()
    if not options.assignment:
        _log.info("%d at a time, queues: %s", slots, ", ".join(queues))
    try:
        return run(store, broker, queues, slots, heeding_signals(), setup, until_empty=options.until_empty)
    except OSError as error:
        raise screen.Stop(exit_codes.FAILED, _files(error)) from None
    finally:
        if monitor:
            monitor.close()
        broker.close()
        store.close()


def _setup(options: _Options) -> "Setup":
    from central_dispatch.worker.execute import Setup
    from central_dispatch.worker.supervision import Supervision
    from central_dispatch.worker.timing import Recycling
    from central_dispatch.worker.vitals import Vitals

    vitals = Vitals()
    alive = Supervision(vitals).alive
    alive()
    return Setup(
        directory=work_directory(),
        prepare=PREPARE,
        drain_s=float("inf") if options.drain_s is None else options.drain_s,
        recycling=Recycling(
            jobs=options.recycle_after,
            resident_bytes=options.recycle_above << 20,
            limit_bytes=options.memory_limit << 20,
        ),
        assignment=options.assignment,
        vitals=vitals,
        alive=alive,
    )


@click.command("run-service")
@screen.command
@click.argument("kind")
@click.argument("payload", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-p", "--preserve-payload", is_flag=True, help="Keep the payload's file when the job is finished.")
@logs.option
def run_service(kind: str, payload: Path, log_format: str, *, preserve_payload: bool) -> None:
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
    logs.configure(log_format, logging.WARNING)
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
        try:
            removed.unlink(missing_ok=True)
        except OSError as error:  # the job is finished all the same, and says so
            click.echo(f"{removed} cannot be removed: {error.strerror}", err=True)
    screen.show(job_screen.to_json(found), job_screen.words(found))
    if not finished:
        raise screen.Ended(exit_codes.FAILED)


@click.command("show-configuration")
@screen.command
def show_configuration() -> None:
    """Show where jobs are kept, who works, and every queue: attempts, delays, limits, retention, depth."""
    from central_dispatch.cli import dispatcher, queue_screen

    assert dispatcher  # noqa: S101 its import makes Django ready, or ends the command
    queue_screen.show_configuration()


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
    """Read a payload's file; `-` is standard input. No more of it than a payload may have."""
    name = "Standard input" if str(path) == "-" else str(path)
    try:
        with click.open_file(str(path), "rb") as file:
            text = file.read(MAX_PAYLOAD_BYTES + 1)
        if len(text) > MAX_PAYLOAD_BYTES:
            mend = "Put what is large into a file that the payload names."
            raise screen.Stop(exit_codes.FAILED, Problem(f"{name} is larger than {MAX_PAYLOAD_BYTES} bytes", mend=mend))
        value = json.loads(text.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise screen.Stop(exit_codes.FAILED, Problem(f"{name} holds no JSON", str(error), field="payload")) from None
    if not isinstance(value, dict):
        raise screen.Stop(
            exit_codes.FAILED, Problem(f"{name} holds no JSON object", mend="Write {…}.", field="payload")
        )
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
