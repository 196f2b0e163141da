"""Workers and instances as tests want them, made by the services."""

from datetime import UTC, datetime, timedelta

from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.forms import InstanceForm, WorkerForm
from central_dispatch.fleet.models import Instance, Worker
from central_dispatch.fleet.refusal import Refused
from central_dispatch.fleet.services import hosts, instances, workers
from central_dispatch.provisioning.protocol import (
    CertificateView,
    Enrol,
    Enrolled,
    Facts,
    Report,
    RunEvent,
    SessionStart,
    SettingsView,
    SourceView,
)

MACHINE = "0123456789abcdef0123456789abcdef"
FACTS = Facts(platform="Debian GNU/Linux 12 (bookworm)", layout="debian", free_bytes=10_000_000_000)


def settings_view(*names: str) -> SettingsView:
    """Return the host's settings with two sources and a default certificate for these names."""
    later = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    return SettingsView(
        install_path="/var/www",
        sources=(
            SourceView(name="wordpress", title="WordPress", releases=("6.1.9", "6.2.0")),
            SourceView(name="broken", title="Broken", releases=("1",), problem="has no portal.toml"),
        ),
        default_certificate=CertificateView(
            names=names or ("*.host.example.com",), not_after=later, fingerprint="ab" * 32
        ),
    )


def enrolled(by: Actor, name: str = "web-1", sealing_key: bytes = b"k" * 32) -> tuple[Worker, Enrolled]:
    """Return a worker that has enrolled and started its first session."""
    form = WorkerForm(name=name, host_url="https://host.example.com", install_path="/var/www")
    invitation = workers.create_worker(by, form, "pin")
    assert isinstance(invitation, workers.Invitation), invitation
    message = Enrol.model_construct(
        token=invitation.token, machine_id=MACHINE, sealing_key=sealing_key, worker_version="0.1"
    )
    answer = hosts.enrol(message, "192.0.2.7")
    assert isinstance(answer, Enrolled), answer
    hosts.start_session(answer.worker, SessionStart(machine_id=MACHINE, facts=FACTS, settings=settings_view()))
    return Worker.objects.get(pk=answer.worker), answer


def form(worker: Worker, name: str = "acme-press", **further: object) -> InstanceForm:
    """Return an instance as an administrator would type it."""
    values = {"source": "wordpress", "release": "6.1.9", "admin_email": "admin@example.com", **further}
    return InstanceForm(worker=worker.pk, name=name, **values)


def draft(by: Actor, worker: Worker, name: str = "acme-press", **further: object) -> Instance:
    """Return a draft of an instance."""
    made = instances.create_instance(by, form(worker, name, **further))
    assert not isinstance(made, Refused), made
    return made


STEPS = ({"name": "database", "title": "Database acme_press"}, {"name": "code", "title": "Code 6.1.9"})
TAIL = ({"name": "scheduled_task", "title": "Schedule"},)


def events(*kinds: str | tuple[str, int] | tuple[str, int, dict[str, object]], start: int = 1) -> tuple[RunEvent, ...]:
    """Return journal lines: a kind, (kind, step) or (kind, step, data) each; `begin` gets two steps and a tail."""
    made = []
    for sequence, item in enumerate(kinds, start=start):
        kind, step, data = (
            (*((item,) if isinstance(item, str) else item), -1, {})[:3]
            if isinstance(item, str)
            else (
                *item,
                {},
            )[:3]
        )
        if kind in {"begin", "planned"}:
            data = {"steps": STEPS, "tail": TAIL, **data}
        made.append(RunEvent(sequence=sequence, at="2026-11-24T10:00:00+00:00", kind=kind, step=step, data=data))
    return tuple(made)


def report(session: int, *kinds: str | tuple[str, int] | tuple[str, int, dict[str, object]], start: int = 1) -> Report:
    """Return a report of such lines."""
    return Report(session=session, events=events(*kinds, start=start))
