"""What `up` does once for its own machine: sandbox, settings, worker, enrolment, the sample source."""

import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from central_dispatch import manifests
from central_dispatch.cli import places
from central_dispatch.cli.screen import event, granted
from central_dispatch.host import identity, resolved, settings
from central_dispatch.host.enrol import enrol
from central_dispatch.platforms.sandbox import Sandbox, create

SAMPLE, SAMPLE_RELEASE = "sample", "1.0.0"
WORKER = "localhost"
#: How long the host worker may take to report for the first time, in seconds.
ONLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class OwnHost:
    """This machine as a host: its settings, and its sandbox if it is one."""

    home: settings.Home
    found: resolved.Resolved
    sandbox: Sandbox | None


def own_host(layout: str) -> OwnHost:
    """Return this machine as a host, its sandbox running. `layout` empty: as it was before, else the sandbox."""
    home = places.host_home()
    known = granted(settings.load(home))
    chosen = layout or known.layout or "sandbox"
    sandbox = _sandbox(home) if chosen == "sandbox" else None
    if sandbox is None and known.layout != chosen:
        granted(settings.set_values(home, {"layout": chosen}))
    return OwnHost(home, granted(resolved.resolve(granted(settings.load(home)), home)), sandbox)


def _sandbox(home: settings.Home) -> Sandbox:
    directory = places.sandbox_directory()
    if not directory.exists():
        event("sandbox", f"Making a sandbox in {directory}", directory=str(directory))
    sandbox = create(str(directory))
    sandbox.start()
    granted(
        settings.set_values(
            home,
            {
                "layout": "sandbox",
                "sandbox_directory": str(sandbox.directory),
                # Where the sandbox looks for the services of instances when it stops and starts.
                "state_directory": str(sandbox.state_directory),
                "sources_directory": str(sandbox.sources_directory),
                "default_certificate": str(sandbox.certificate),
                "default_key": str(sandbox.key),
            },
        )
    )
    return sandbox


def register_sample(host: OwnHost) -> None:
    """Register the sample portal as a source, once."""
    if (host.found.sources_directory / SAMPLE).exists():
        return
    from central_dispatch.host.sources import add_source

    shipped = manifests.directory(SAMPLE)
    tree = shipped / "releases" / SAMPLE_RELEASE
    granted(add_source(host.found.sources_directory, SAMPLE, shipped, tree, SAMPLE_RELEASE))


def is_enrolled(host: OwnHost) -> bool:
    """Say whether this machine knows its dispatcher."""
    return granted(identity.load(host.found.state_directory)) is not None


def invitation(host: OwnHost, pin: str) -> str:
    """Add this machine as a worker, or invite it once more, and return the token."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.forms import WorkerForm
    from central_dispatch.fleet.services import workers

    known = dispatcher.queries.workers().filter(name=WORKER).first()
    if known is not None:
        return dispatcher.granted(workers.invite(dispatcher.actor(), known.pk, pin)).token
    form = WorkerForm(
        name=WORKER,
        # Default hostnames are one level below it: those that the sandbox's certificate covers.
        host_url=host.sandbox.domain if host.sandbox else WORKER,
        install_path=host.found.layout.install_path,
    )
    return dispatcher.granted(workers.create_worker(dispatcher.actor(), form, pin)).token


def enrol_here(host: OwnHost, url: str, pin: str) -> None:
    """Enrol this machine with its own dispatcher."""
    made = granted(enrol(host.found.state_directory, url, invitation(host, pin)))
    event("enrolled", f"Enrolled as worker {made.name}, fingerprint {made.fingerprint}", worker=made.name)


def wait_online(stopping: Event) -> None:
    """Wait until the dispatcher has heard of this machine's host worker, or say that it has not."""
    from django.utils import timezone

    from central_dispatch.cli import dispatcher

    deadline = time.monotonic() + ONLINE_S
    while not stopping.wait(0.1):
        # Asked by state, not by name: an administrator may have enrolled this machine under another one.
        if any(worker.is_online(timezone.now()) for worker in dispatcher.queries.workers()):
            return
        if time.monotonic() > deadline:
            event("away", "The host worker has not reported yet; its own messages are above.")
            return


def lock_path() -> Path:
    """Return the file that keeps a second `up` of the same home away."""
    return places.home_directory() / "up.lock"
