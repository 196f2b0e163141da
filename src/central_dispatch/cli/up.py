"""`up`: dispatcher, host worker and queue worker of one machine in the foreground, under one supervisor."""

import fcntl
import os
import signal
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import click

from central_dispatch.cli import exit_codes, first_host, logs, places, screen
from central_dispatch.cli.supervisor import Child, Supervisor
from central_dispatch.provisioning.problem import Problem

#: How long the dispatcher's port may still be held by the parts of an `up` that was killed, in seconds.
PORT_S = 30.0
READY_S = 60.0
#: Running jobs' grace time when everything stops, at most, in seconds: less than the supervisor waits for a child.
DRAIN_S = 60
#: What the queue worker of `up` serves is kept under this name.
ASSIGNMENT = "default"


@click.command()
@screen.command
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the portal listens on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8700, show_default=True)
@click.option(
    "--layout",
    type=click.Choice(["sandbox", "debian", "red-hat"]),
    help="What instances are deployed to. Default: as before, at first a sandbox; the machine itself only when asked.",
)
@logs.option
def up(host: str, port: int, layout: str | None, log_format: str) -> None:
    """Run everything on this one machine, in the foreground; Ctrl-C stops it.

    The first start makes an administrator, whose password is shown once, and a sandbox with real servers of its
    own; it enrols this machine as worker "localhost" and registers the sample portal.
    """
    with _alone():
        supervisor = Supervisor(lambda text: screen.event("process", text, text=text))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: supervisor.stopping.set())
        _run(supervisor, _Place(host, port, log_format), layout or "")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the portal listens, and the form of the parts' logs."""

    host: str
    port: int
    log_format: str


def _run(supervisor: Supervisor, place: _Place, layout: str) -> None:
    own = first_host.own_host(layout)
    try:
        pin = _start_dispatcher(supervisor, place)
        first_host.register_sample(own)
        # The host worker trusts the certificate by its pin, whatever the name: it stays on the loopback.
        url = f"https://localhost:{place.port}"
        if not supervisor.stopping.is_set() and not first_host.is_enrolled(own):
            first_host.enrol_here(own, url, pin)
        if not supervisor.stopping.is_set():
            supervisor.start("host worker", _part("worker", "host"))
            _start_queue_worker(supervisor, place)
            first_host.wait_online(supervisor.stopping)
            _say_ready(own, url)
        supervisor.watch()
    finally:
        try:
            supervisor.stop()
        finally:
            if own.sandbox:
                own.sandbox.stop()
        screen.event("stopped", "Everything is stopped.")


def _start_queue_worker(supervisor: Supervisor, place: _Place) -> None:
    """Start it by an assignment, made at the first start: it is shown, and can be changed while it runs."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.worker_manager import assignments, queries

    if not queries.assignments().filter(pk=ASSIGNMENT).exists():
        dispatcher.granted(assignments.put(dispatcher.actor(), ASSIGNMENT, slots=2, host=socket.gethostname()))
    how = ("--drain-limit", str(DRAIN_S), "--log-format", place.log_format)
    supervisor.start("queue worker", _part("worker", "execute", "--assignment", ASSIGNMENT, *how))


def _start_dispatcher(supervisor: Supervisor, place: _Place) -> str:
    from central_dispatch.cli.serve import show_password
    from central_dispatch.portal.serve import first_start
    from central_dispatch.portal.tls import certificate_path

    _wait_for_port(place.host, place.port)
    started = first_start()
    show_password(started.password)
    where = ("--host", place.host, "--port", str(place.port))
    child = supervisor.start("dispatcher", _part("serve", *where, "--log-format", place.log_format))
    context = ssl.create_default_context(cafile=str(certificate_path()))
    deadline = time.monotonic() + READY_S
    while not supervisor.stopping.is_set() and not _answers(f"https://localhost:{place.port}/healthz", context):
        _still_coming(child, deadline)
        supervisor.stopping.wait(0.1)
    return started.pin


def _still_coming(child: Child, deadline: float) -> None:
    if not child.running or time.monotonic() > deadline:
        problem = Problem("The dispatcher did not start", "its own message is above", "Mend that, then start again.")
        raise screen.Stop(exit_codes.FAILED, problem)


def _answers(url: str, context: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5, context=context):  # noqa: S310 always https
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _wait_for_port(host: str, port: int) -> None:
    deadline = time.monotonic() + PORT_S
    while _taken(host, port):
        if time.monotonic() > deadline:
            problem = Problem(
                f"Port {port} of {host} is taken", mend="Stop what listens there, or choose another --port."
            )
            raise screen.Stop(exit_codes.FAILED, problem)
        time.sleep(0.2)


def _taken(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _part(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "central_dispatch", *arguments]


def _say_ready(own: first_host.OwnHost, url: str) -> None:
    lines = [f"The portal is at {url} (user admin)."]
    values: dict[str, object] = {"url": url, "home": str(places.home_directory())}
    if own.sandbox:
        values |= {
            "domain": own.sandbox.domain,
            "https_port": own.sandbox.layout.https_port,
            "certificate_authority": str(own.sandbox.ca),
        }
        lines.append(f"Instances answer at https://NAME.{own.sandbox.domain}:{own.sandbox.layout.https_port}/")
    screen.event("ready", "\n".join([*lines, "Ctrl-C stops everything."]), **values)


@contextmanager
def _alone() -> Iterator[None]:
    path = first_host.lock_path()
    with suppress(FileExistsError):
        # Passable: the sandbox's servers run as users of their own below it. What is private is private itself.
        path.parent.mkdir(mode=0o711, parents=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        problem = Problem("It is running already", f"another up holds {path}", "Use that one, or another --home.")
        raise screen.Stop(exit_codes.BUSY, problem) from None
    finally:
        os.close(descriptor)
