"""Managed instances as records: draft, change, prefill. What happens on the host is in `runs`."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import instance_changed
from central_dispatch.fleet.certificates import CheckedCertificate, check_certificate, uncovered
from central_dispatch.fleet.forms import InstanceForm, InstanceValues, filled_in, parse_instance
from central_dispatch.fleet.models import Instance, InstanceHostname, Worker
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, absent, conflict, forbidden
from central_dispatch.fleet.services.looks import withdraw_look
from central_dispatch.provisioning.names import unix_user_for
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import SettingsView
from central_dispatch.provisioning.trust import TLS_KEY_PURPOSE, seal

EDITABLE = frozenset({Instance.State.DRAFT, Instance.State.IN_ERROR})


@dataclass(frozen=True, slots=True)
class _Tls:
    """The columns of an instance's certificate."""

    tls: str = Instance.Tls.DEFAULT
    certificate: str = ""
    chain: str = ""
    sealed_key: bytes = b""
    certificate_facts: dict[str, Any] | None = None


def prefill(worker: Worker, name: str) -> InstanceForm:
    """Return the form as the portal shows it for a name: everything that follows from it filled in."""
    return filled_in(InstanceForm(worker=worker.pk, name=name), worker)


def create_instance(by: Actor, form: InstanceForm) -> Instance | Refused:
    """Make a draft. Nothing is done on the host."""
    now = timezone.now()
    with transaction.atomic():
        worker = _worker(by, form.worker, "instance.create")
        if isinstance(worker, Refused):
            return worker
        instance = Instance(worker=worker, created_by=by.name, created_at=now, state=Instance.State.DRAFT)
        refused = _fill(instance, form, now)
        if refused:
            return refused
        audit.record(by, "instance.create", f"instance:{instance.pk}", title=instance.name, after=facts_of(instance))
    return instance


def update_instance(by: Actor, instance_id: str, form: InstanceForm) -> Instance | Refused:
    """Change a draft, or an instance whose deployment was backed out. A blank key keeps the one that is sealed."""
    now = timezone.now()
    with transaction.atomic():
        instance = Instance.objects.select_for_update().select_related("worker").filter(pk=instance_id).first()
        if instance is None or instance.state == Instance.State.DELETED:
            return absent("instance")
        if not may(by, "instance.edit", instance):
            return forbidden(f"the instance {instance.name} is not among those that you may change")
        stays = form.worker in {"", instance.worker_id}
        worker = instance.worker if stays else _worker(by, form.worker, "instance.edit")
        if isinstance(worker, Refused):
            return worker
        if instance.state not in EDITABLE:
            return conflict(
                f"{instance.name} is {instance.get_state_display()}",
                "only a draft can be changed",
                "Back it out or delete it first.",
            )
        before = facts_of(instance)
        withdraw_look(instance, "the instance was changed")
        moved = instance.worker_id != worker.pk
        instance.worker = worker
        refused = _fill(instance, form, now, moved=moved)
        if refused:
            transaction.set_rollback(True)
            return refused
        after = facts_of(instance)
        audit.record(by, "instance.edit", f"instance:{instance.pk}", title=instance.name, before=before, after=after)
    return instance


def facts_of(instance: Instance) -> dict[str, Any]:
    """Return what the audit trail shows of an instance: its values, never its key."""
    plain = ("name", "source", "release", "web_root", "database", "database_user", "admin_email", "schedule", "tls")
    shown = {name: getattr(instance, name) for name in plain}
    certificate = instance.certificate_facts.get("fingerprint", "") if instance.certificate_facts else ""
    hostnames = list(instance.hostnames.order_by("position").values_list("hostname", flat=True))
    return {**shown, "worker": instance.worker.name, "hostnames": hostnames, "certificate": certificate}


def _worker(by: Actor, worker_id: str, action: str) -> Worker | Refused:
    worker = Worker.objects.prefetch_related("allowed_users").filter(pk=worker_id).first()
    if worker is None or worker.is_revoked:
        problem = Problem("is not a worker", mend="Choose one of the list.", field="worker")
        return Refused("invalid", (problem,))
    if not may(by, action, worker):
        return forbidden(f"you are not among those who may use the worker {worker.name}")
    return worker


def _fill(instance: Instance, form: InstanceForm, now: datetime, *, moved: bool = False) -> Refused | None:
    """Parse, judge and write the form into the instance's row; everything wrong is named at once."""
    worker = instance.worker
    values = parse_instance(filled_in(form, worker))
    if isinstance(values, tuple):
        return Refused("invalid", _typed(form, values))
    host = worker.host_settings
    taken = _taken(instance, values)
    tls = _tls(instance, replace(form, hostnames=values.hostnames), host, now, moved=moved)
    problems = (*_source_problems(worker, host, values), *taken, *(tls if isinstance(tls, tuple) else ()))
    if problems or isinstance(tls, tuple):
        return Refused("conflict" if taken else "invalid", problems)
    for name, value in {**values.model_dump(exclude={"hostnames"}), **asdict(tls)}.items():
        setattr(instance, name, value)
    instance.certificate_facts = tls.certificate_facts or {}
    instance.live_name, instance.changed_at = values.name, now
    instance.save()
    _write_hostnames(instance, values.hostnames)
    instance_changed(instance)
    return None


def _typed(form: InstanceForm, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Leave out what only follows from a bad name: nobody typed it."""
    if not any(problem.field == "name" for problem in problems):
        return problems
    derived = {"hostnames", "web_root", "database", "database_user"}
    blank = {name for name in derived if not getattr(form, name)}
    return tuple(problem for problem in problems if problem.field not in blank)


def _write_hostnames(instance: Instance, hostnames: tuple[str, ...]) -> None:
    instance.hostnames.all().delete()
    rows = [
        InstanceHostname(instance=instance, position=place, hostname=name, live_hostname=name)
        for place, name in enumerate(hostnames)
    ]
    InstanceHostname.objects.bulk_create(rows)


def _source_problems(worker: Worker, host: SettingsView, values: InstanceValues) -> list[Problem]:
    if worker.last_seen is None:
        mend = "Run the command of its page on the host first."
        return [Problem(f"{worker.name} has not reported yet, so its sources are not known", mend=mend, field="worker")]
    source = next((item for item in host.sources if item.name == values.source), None)
    if source is None:
        mend = "Choose another, or register it on the host with `central-dispatch source add`."
        return [Problem(f"{worker.name} has no source “{values.source}”", mend=mend, field="source")]
    if source.problem:
        return [Problem(f"“{source.name}” cannot be used", source.problem, "Mend it on the host.", "source")]
    if values.release not in source.releases:
        have = ", ".join(source.releases[:10]) or "none"
        return [Problem(f"“{source.name}” has no release {values.release}", f"it has {have}", field="release")]
    return []


def _taken(instance: Instance, values: InstanceValues) -> list[Problem]:
    """Name what another live instance holds: names and hostnames anywhere, the others on the same host."""
    others = Instance.objects.exclude(pk=instance.pk).exclude(state=Instance.State.DELETED)
    found = []
    if others.filter(live_name=values.name).exists():
        found.append(Problem(f"“{values.name}” is the name of another instance", mend="Choose another.", field="name"))
    rows = InstanceHostname.objects.exclude(instance=instance).filter(live_hostname__in=values.hostnames)
    for row in rows.select_related("instance"):
        what = f"{row.hostname} belongs to the instance {row.instance.name}"
        found.append(Problem(what, mend="Choose another hostname.", field="hostnames"))
    here = others.filter(worker=instance.worker)
    for name in ("web_root", "database", "database_user"):
        other = here.filter(**{name: getattr(values, name)}).first()
        if other is not None:
            what = f"“{getattr(values, name)}” belongs to the instance {other.name} on this worker"
            found.append(Problem(what, mend="Choose another.", field=name))
    return found


def _tls(
    instance: Instance, form: InstanceForm, host: SettingsView, now: datetime, *, moved: bool
) -> _Tls | tuple[Problem, ...]:
    if not form.own_certificate:
        return _default_tls(form.hostnames, host, now)
    if not form.key.strip() and instance.sealed_key and not moved and _same(form, instance):
        return _kept_tls(instance, form.hostnames)
    checked = check_certificate(form.certificate, form.key, form.chain, form.hostnames, now)
    if not isinstance(checked, CheckedCertificate):
        return checked
    if not instance.worker.sealing_key:
        return (Problem("the worker has not enrolled yet, so the key cannot be sealed to it", field="worker"),)
    sealed = seal(
        checked.key,
        bytes(instance.worker.sealing_key),
        purpose=TLS_KEY_PURPOSE,
        worker=instance.worker_id,
        instance=instance.pk,
    )
    facts = checked.view.model_dump(mode="json")
    return _Tls(Instance.Tls.OWN, checked.certificate, checked.chain, sealed, facts)


def _same(form: InstanceForm, instance: Instance) -> bool:
    """Say whether the form brings no other certificate than the one that is stored."""
    given = (form.certificate.split(), form.chain.split())
    stored = (instance.certificate.split(), instance.chain.split())
    return given in ((([], [])), stored)


def _kept_tls(instance: Instance, hostnames: tuple[str, ...]) -> _Tls | tuple[Problem, ...]:
    names = instance.certificate_facts.get("names", ())
    missing = uncovered(names, hostnames)
    if missing:
        why = f"it is for {', '.join(names)}"
        return (Problem(f"does not cover {', '.join(missing)}", why, "Upload another, with its key.", "certificate"),)
    return _Tls(
        Instance.Tls.OWN,
        instance.certificate,
        instance.chain,
        bytes(instance.sealed_key),
        instance.certificate_facts,
    )


def _default_tls(hostnames: tuple[str, ...], host: SettingsView, now: datetime) -> _Tls | tuple[Problem, ...]:
    default = host.default_certificate
    mend = (
        "Upload an own certificate, or set another default on the host with `central-dispatch worker host configure`."
    )
    if default is None:
        return (Problem("the worker has no default certificate", mend=mend, field="certificate"),)
    missing = uncovered(default.names, hostnames)
    if missing:
        what = f"the worker's default certificate does not cover {', '.join(missing)}"
        return (Problem(what, f"it is for {', '.join(default.names)}", mend, "certificate"),)
    ends = _time(default.not_after)
    if ends is None or ends <= now:
        what = f"the worker's default certificate expired on {default.not_after[:10]}"
        return (Problem(what, mend=mend, field="certificate"),)
    return _Tls()


def _time(text: str) -> datetime | None:
    """Read a time that a host reported; None for what is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def unix_user(instance: Instance) -> str:
    """Return the Unix user that the instance gets, for pages."""
    return unix_user_for(instance.name)
