"""What a host says about itself: enrolment, sessions, heartbeats. Callers have checked its credential."""

import hmac
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import NO_ROLE, Actor
from central_dispatch.fleet.announce import orders_changed, worker_changed
from central_dispatch.fleet.models import EnrolmentToken, Worker
from central_dispatch.fleet.refusal import Refused, conflict
from central_dispatch.fleet.secret_text import digest, new_secret
from central_dispatch.provisioning import trust
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import Enrol, Enrolled, Heartbeat, Session, SessionStart

_SEALING_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class StaleSession:
    """The call comes from a session that a newer one has replaced: this host worker must stop."""

    session: int
    alert: str


def host_actor(worker: Worker, address: str = "") -> Actor:
    """Return a host as the one who acts, for the audit trail."""
    return Actor(f"worker {worker.name}", NO_ROLE, via="host", address=address)


def worker_by_credential(credential: str) -> Worker | None:
    """Return the enrolled worker that a credential belongs to."""
    given = digest(credential)
    worker = Worker.objects.filter(credential_hash=given, state=Worker.State.ENROLLED).first()
    # The index lookup is over hashes, which nobody can steer; the comparison of the secret itself is constant-time.
    return worker if worker is not None and hmac.compare_digest(worker.credential_hash, given) else None


def enrol(message: Enrol, address: str) -> Enrolled | Refused:
    """Trade a one-time token for a credential. Whatever credential the worker had before stops working."""
    parsed = trust.EnrolmentToken.from_text(message.token)
    secret = parsed.secret if parsed else message.token
    if len(message.sealing_key) != _SEALING_KEY_BYTES:
        problem = Problem("The sealing key is not an X25519 public key of 32 bytes", field="sealing_key")
        return Refused("invalid", (problem,))
    now = timezone.now()
    with transaction.atomic():
        found = EnrolmentToken.objects.select_for_update().select_related("worker").filter(token_hash=digest(secret))
        token = found.first()
        if token is None or token.used_at is not None or token.expires_at <= now or token.worker.is_revoked:
            why = "it is unknown, was used already, or is older than 24 hours"
            return conflict("The enrolment token does not work", why, "Have a new one made in the portal.", "token")
        token.used_at = now
        token.save(update_fields=["used_at"])
        return _enrolled(token.worker, message, address)


def _enrolled(worker: Worker, message: Enrol, address: str) -> Enrolled:
    credential = new_secret()
    before = {"fingerprint": worker.fingerprint, "machine_id": worker.machine_id}
    worker.state = Worker.State.ENROLLED
    worker.enrolled_at = timezone.now()
    worker.credential_hash = digest(credential)
    worker.machine_id, worker.other_machine_id, worker.alert = message.machine_id, "", ""
    worker.sealing_key = bytes(message.sealing_key)
    worker.fingerprint = trust.fingerprint(worker.sealing_key)
    worker.worker_version = message.worker_version
    # The number goes on: a session of the machine before must stay older than every new one.
    worker.session += 1
    worker.used_session = 0  # what is enrolled anew remembers no session
    worker.last_seen = None
    worker.save()
    after = {"fingerprint": worker.fingerprint, "machine_id": worker.machine_id}
    actor = host_actor(worker, address)
    audit.record(actor, "worker.enrol", f"worker:{worker.pk}", title=worker.name, before=before, after=after)
    worker_changed(worker)
    return Enrolled(worker=worker.pk, name=worker.name, credential=credential, fingerprint=worker.fingerprint)


def start_session(worker_id: str, message: SessionStart) -> Session:
    """Raise the session number; look for a rewound host and for a changed machine."""
    with transaction.atomic():
        worker = Worker.objects.select_for_update().get(pk=worker_id)
        alert = _session_alert(worker, message)
        worker.session += 1
        worker.last_seen = timezone.now()
        worker.alert = alert or worker.alert
        worker.facts_json = message.facts.model_dump(mode="json")
        worker.settings_json = message.settings.model_dump(mode="json")
        worker.worker_version = message.facts.worker_version[:40] or worker.worker_version
        worker.doing = ""
        worker.save()
        if alert:
            audit.record(host_actor(worker), "worker.alert", f"worker:{worker.pk}", title=alert)
        worker_changed(worker)
        # A poll of the session before must end now.
        orders_changed(worker.pk)
        return Session(session=worker.session, alert=worker.alert)


def _session_alert(worker: Worker, message: SessionStart) -> str:
    if message.machine_id != worker.machine_id:
        worker.other_machine_id = message.machine_id
        return (
            "The host has another machine id than before: it may be a copy of the machine. "
            "Make sure that only one of them runs, then accept it."
        )
    worker.other_machine_id = ""
    if message.last_session < worker.used_session:
        return (
            f"The host remembers session {message.last_session}, but session {worker.used_session} has been: it may "
            "have been restored from a copy. Compare its instances, then accept it."
        )
    return ""


def heartbeat(worker_id: str, message: Heartbeat) -> Session | StaleSession:
    """Take note that the host lives, and of what changed."""
    with transaction.atomic():
        worker = Worker.objects.select_for_update().get(pk=worker_id)
        if message.session != worker.session:
            return stale_session(worker, message.session)
        facts, host_settings = message.facts.model_dump(mode="json"), message.settings.model_dump(mode="json")
        now = timezone.now()
        before = (worker.facts_json, worker.settings_json, worker.doing, worker.is_online(now))
        worker.facts_json, worker.settings_json, worker.doing = facts, host_settings, message.doing[:300]
        worker.last_seen, worker.used_session = now, message.session
        worker.save(update_fields=["facts_json", "settings_json", "doing", "last_seen", "used_session"])
        if before != (facts, host_settings, worker.doing, True):
            worker_changed(worker)
        return Session(session=worker.session, alert=worker.alert)


def stale_session(worker: Worker, session: int) -> StaleSession:
    """Note a call from a session that was replaced: two host workers hold one credential. Inside a transaction."""
    alert = (
        f"A host worker of session {session} called while session {worker.session} is the newest: two host workers "
        "use this enrolment. Find out which machine is the copy and stop it, then accept."
    )
    if not worker.alert:
        worker.alert = alert
        worker.save(update_fields=["alert"])
        audit.record(host_actor(worker), "worker.alert", f"worker:{worker.pk}", title=alert)
        worker_changed(worker)
    return StaleSession(worker.session, worker.alert)
