"""Workers: add, invite, set up, revoke, accept."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import orders_changed, worker_changed
from central_dispatch.fleet.forms import WorkerForm, WorkerSettings, check_pattern, parse_worker
from central_dispatch.fleet.models import EnrolmentToken, Run, Worker
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, absent, conflict, forbidden
from central_dispatch.fleet.secret_text import digest, new_secret
from central_dispatch.fleet.services.transitions import signal_run
from central_dispatch.fleet.states import OPEN_RUNS, Signal
from central_dispatch.provisioning import names, trust
from central_dispatch.provisioning.problem import Problem

#: How long an enrolment token works.
TOKEN_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Invitation:
    """A worker and the token that enrols it. The token is in no table; it is shown once."""

    worker: Worker
    expires_at: datetime
    token: str = field(repr=False)


def create_worker(by: Actor, form: WorkerForm, pin: str) -> Invitation | Refused:
    """Add a worker and invite it. `pin` is the dispatcher's certificate pin, which the token carries."""
    if not may(by, "worker.create"):
        return forbidden("workers are added by administrators")
    values = parse_worker(form)
    if isinstance(values, tuple):
        return Refused("invalid", values)
    with transaction.atomic():
        if Worker.objects.filter(live_name=values.name).exists():
            return conflict(f"“{values.name}” is the name of another worker", mend="Choose another name.", field="name")
        worker = Worker.objects.create(
            name=values.name,
            live_name=values.name,
            host_url=values.host_url,
            install_path=values.install_path,
            created_at=timezone.now(),
        )
        audit.record(by, "worker.create", f"worker:{worker.pk}", title=worker.name, after=values.model_dump())
        return _invitation(by, worker, pin)


def invite(by: Actor, worker_id: str, pin: str) -> Invitation | Refused:
    """Make a new token; the tokens before it stop working. An enrolled worker gets a new credential by using it."""
    with transaction.atomic():
        worker = _permitted(by, worker_id, "worker.invite")
        return worker if isinstance(worker, Refused) else _invitation(by, worker, pin)


def update_worker(by: Actor, worker_id: str, values: WorkerSettings) -> Worker | Refused:
    """Change what the portal decides about a worker. The host's own settings are changed on the host."""
    problems = _setting_problems(values)
    with transaction.atomic():
        worker = _permitted(by, worker_id, "worker.edit")
        if isinstance(worker, Refused):
            return worker
        if problems:
            return Refused("invalid", problems)
        before = _settings_of(worker)
        worker.default_admin_email = values.default_admin_email.strip()
        worker.default_hostname_pattern = values.default_hostname_pattern.strip().lower()
        worker.default_schedule = values.default_schedule
        worker.save(update_fields=["default_admin_email", "default_hostname_pattern", "default_schedule"])
        worker.allowed_users.set(values.allowed_user_ids)
        after = _settings_of(worker)
        audit.record(by, "worker.edit", f"worker:{worker.pk}", title=worker.name, before=before, after=after)
        worker_changed(worker)
    return worker


def revoke(by: Actor, worker_id: str) -> Worker | Refused:
    """Take a worker's credential away for good.

    A host that is online must end its runs first; one that is away loses them: what it holds is for a person.
    """
    with transaction.atomic():
        worker = _permitted(by, worker_id, "worker.revoke")
        if isinstance(worker, Refused):
            return worker
        runs = list(Run.objects.select_related("instance", "worker").filter(worker=worker, state__in=OPEN_RUNS))
        if runs and worker.is_online(timezone.now()):
            return conflict("A run of this worker is open", mend="Let it end, or back it out, first.", run=runs[0].pk)
        for run in runs:
            signal_run(run, Signal.WITHDRAWN if run.through == 0 else Signal.LOST, _gone(worker))
        worker.state, worker.live_name, worker.credential_hash = Worker.State.REVOKED, None, ""
        worker.save(update_fields=["state", "live_name", "credential_hash"])
        worker.tokens.all().delete()
        audit.record(by, "worker.revoke", f"worker:{worker.pk}", title=worker.name)
        worker_changed(worker)
    return worker


def accept_host(by: Actor, worker_id: str) -> Worker | Refused:
    """Accept a host that raised an alert, with the machine id that it calls with now: it gets orders again."""
    with transaction.atomic():
        worker = _permitted(by, worker_id, "worker.accept")
        if isinstance(worker, Refused):
            return worker
        before = {"alert": worker.alert, "machine_id": worker.machine_id}
        worker.machine_id = worker.other_machine_id or worker.machine_id
        worker.alert = worker.other_machine_id = ""
        worker.save(update_fields=["machine_id", "other_machine_id", "alert"])
        after = {"alert": "", "machine_id": worker.machine_id}
        audit.record(by, "worker.accept", f"worker:{worker.pk}", title=worker.name, before=before, after=after)
        worker_changed(worker)
        orders_changed(worker.pk)
    return worker


def _gone(worker: Worker) -> Problem:
    return Problem(
        "The run did not end", f"its worker {worker.name} was revoked", "Look at the host by hand, if it still exists."
    )


def _permitted(by: Actor, worker_id: str, action: str) -> Worker | Refused:
    if not may(by, action):
        return forbidden("workers are looked after by administrators")
    worker = Worker.objects.select_for_update().filter(pk=worker_id).first()
    if worker is None or worker.is_revoked:
        return absent("worker")
    return worker


def _invitation(by: Actor, worker: Worker, pin: str) -> Invitation:
    now = timezone.now()
    secret = new_secret()
    worker.tokens.filter(used_at=None).delete()
    token = EnrolmentToken.objects.create(
        worker=worker, token_hash=digest(secret), created_by=by.name, created_at=now, expires_at=now + TOKEN_LIFETIME
    )
    audit.record(by, "worker.invite", f"worker:{worker.pk}", title=worker.name)
    worker_changed(worker)
    return Invitation(worker, token.expires_at, trust.EnrolmentToken(secret, pin).to_text())


def _setting_problems(values: WorkerSettings) -> tuple[Problem, ...]:
    found = [check_pattern(values.default_hostname_pattern.strip().lower())]
    if values.default_admin_email.strip():
        try:
            names.parse_email(values.default_admin_email)
        except ValueError as error:
            found.append(Problem(str(error), field="default_admin_email"))
    known = get_user_model().objects.filter(pk__in=values.allowed_user_ids).count()
    if known != len(set(values.allowed_user_ids)):
        found.append(Problem("names a user that does not exist", field="allowed_users"))
    return tuple(filter(None, found))


def _settings_of(worker: Worker) -> dict[str, Any]:
    return {
        "default_admin_email": worker.default_admin_email,
        "default_hostname_pattern": worker.default_hostname_pattern,
        "default_schedule": worker.default_schedule,
        "allowed_users": sorted(user.get_username() for user in worker.allowed_users.all()),
    }
