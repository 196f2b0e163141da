from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.forms import WorkerForm, WorkerSettings
from central_dispatch.fleet.models import EnrolmentToken, Instance, Run, Worker
from central_dispatch.fleet.refusal import Refused
from central_dispatch.fleet.services import hosts, runs, workers
from central_dispatch.fleet.services.claims import claim
from central_dispatch.fleet.services.workers import Invitation
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.audit.models import AuditEntry
from central_dispatch.provisioning.protocol import Claim, Claimed, Enrol, Enrolled, Heartbeat, Session, SessionStart
from central_dispatch.provisioning.trust import fingerprint
from dispatchers.fixtures import stored
from dispatchers.fleet import FACTS, MACHINE, draft, enrolled, settings_view

HOST = "192.0.2.7"


def enrol_with(token: str) -> Enrolled | Refused:
    message = Enrol.model_construct(token=token, machine_id=MACHINE, sealing_key=b"k" * 32, worker_version="0.1")
    return hosts.enrol(message, HOST)


def start(worker: Worker, *, last: int, machine: str = MACHINE) -> Session:
    return hosts.start_session(
        worker.pk, SessionStart(machine_id=machine, last_session=last, facts=FACTS, settings=settings_view())
    )


def beat(worker: Worker, session: int) -> Session | hosts.StaleSession:
    return hosts.heartbeat(worker.pk, Heartbeat(session=session, facts=FACTS, settings=settings_view(), doing="x"))


def claimed(worker: Worker, session: int, *known: str) -> Claimed | hosts.StaleSession:
    return claim(worker.pk, Claim(session=session, known=known))


def invited(by: Actor, name: str = "web-1") -> Invitation:
    made = workers.create_worker(by, WorkerForm(name=name), "pin")
    assert isinstance(made, Invitation)
    return made


def test_a_worker_is_prefilled_for_one_machine(administrator: Actor) -> None:
    made = workers.create_worker(administrator, WorkerForm(), "the-pin")
    assert isinstance(made, Invitation)
    assert (made.worker.name, made.worker.host_url, made.worker.install_path) == (
        "localhost",
        "https://localhost",
        "/var/www",
    )
    assert made.token.startswith("cd1.")
    assert made.token.endswith(".the-pin")


def test_every_bad_field_of_a_worker_is_named(administrator: Actor) -> None:
    bad = workers.create_worker(administrator, WorkerForm(name="", host_url="a b", install_path="www"), "pin")
    assert isinstance(bad, Refused)
    assert {problem.field for problem in bad.problems} == {"name", "host_url", "install_path"}
    assert not Worker.objects.exists()


def test_two_workers_cannot_share_a_name_until_one_is_revoked(administrator: Actor) -> None:
    first = invited(administrator)
    again = workers.create_worker(administrator, WorkerForm(name="web-1"), "pin")
    assert isinstance(again, Refused)
    assert again.problems[0].field == "name"
    workers.revoke(administrator, first.worker.pk)
    assert isinstance(workers.create_worker(administrator, WorkerForm(name="web-1"), "pin"), Invitation)


def test_a_token_works_once(administrator: Actor) -> None:
    token = invited(administrator).token
    first = enrol_with(token)
    assert isinstance(first, Enrolled)
    assert first.fingerprint == fingerprint(b"k" * 32)
    second = enrol_with(token)
    assert isinstance(second, Refused)
    assert second.problems[0].field == "token"


def test_a_token_is_worth_nothing_after_a_day_or_once_another_was_made(administrator: Actor) -> None:
    old = invited(administrator)
    fresh = workers.invite(administrator, old.worker.pk, "pin")
    assert isinstance(fresh, Invitation)
    assert isinstance(enrol_with(old.token), Refused)
    EnrolmentToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert isinstance(enrol_with(fresh.token), Refused)


def test_neither_token_nor_credential_is_stored(administrator: Actor, database: Path) -> None:
    invitation = invited(administrator)
    answer = enrol_with(invitation.token)
    assert isinstance(answer, Enrolled)
    content = stored(database)
    assert content
    for secret in (invitation.token.split(".")[1], answer.credential):
        assert secret.encode() not in content


def test_a_credential_opens_until_the_host_is_enrolled_anew_or_revoked(administrator: Actor) -> None:
    worker, first = enrolled(administrator)
    assert hosts.worker_by_credential(first.credential) == worker
    assert hosts.worker_by_credential("") is None
    fresh = workers.invite(administrator, worker.pk, "pin")
    assert isinstance(fresh, Invitation)
    second = enrol_with(fresh.token)
    assert isinstance(second, Enrolled)
    assert hosts.worker_by_credential(first.credential) is None
    workers.revoke(administrator, worker.pk)
    assert hosts.worker_by_credential(second.credential) is None


def test_each_session_has_a_higher_number_and_an_older_one_is_told_to_stop(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    first = start(worker, last=2)
    second = start(worker, last=first.session)
    assert second.session > first.session
    assert not second.alert
    assert isinstance(beat(worker, second.session), Session)
    assert isinstance(beat(worker, first.session), hosts.StaleSession)


def test_a_second_host_worker_raises_an_alert_and_gets_no_orders(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    first = start(worker, last=2)
    second = start(worker, last=first.session)
    beat(worker, first.session)
    instance = draft(administrator, worker)
    runs.deploy(administrator, instance.pk)
    answer = claimed(worker, second.session)
    assert isinstance(answer, Claimed)
    assert not answer.orders
    assert "two host workers" in Worker.objects.get(pk=worker.pk).alert


def test_a_call_that_a_killed_host_worker_left_waiting_raises_no_alert(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    first = start(worker, last=2)
    start(worker, last=first.session)
    answer = claim(worker.pk, Claim(session=first.session), first_look=False)
    assert isinstance(answer, hosts.StaleSession)
    assert not Worker.objects.get(pk=worker.pk).alert


@pytest.mark.parametrize(("last", "machine"), [(1, MACHINE), (2, "f" * 32)])
def test_a_rewound_or_copied_host_gets_no_orders_until_it_is_accepted(
    administrator: Actor, last: int, machine: str
) -> None:
    worker, _ = enrolled(administrator)
    beat(worker, 2)
    session = start(worker, last=last, machine=machine)
    assert session.alert
    runs.deploy(administrator, draft(administrator, worker).pk)
    held = claimed(worker, session.session)
    assert isinstance(held, Claimed)
    assert held.orders == ()
    accepted = workers.accept_host(administrator, worker.pk)
    assert isinstance(accepted, Worker)
    assert accepted.machine_id == machine
    given = claimed(worker, session.session)
    assert isinstance(given, Claimed)
    assert [order.kind for order in given.orders] == ["deploy"]
    assert not start(worker, last=session.session, machine=machine).alert


def test_a_session_whose_answer_was_lost_makes_no_host_look_rewound(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    first = start(worker, last=2)
    beat(worker, first.session)
    start(worker, last=first.session)
    start(worker, last=first.session)
    third = start(worker, last=first.session)
    assert not third.alert
    claimed(worker, third.session)
    assert start(worker, last=first.session).alert


def test_a_host_that_is_silent_for_30_seconds_is_away_and_keeps_its_runs(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    worker.refresh_from_db()
    assert worker.last_seen is not None
    assert worker.is_online(worker.last_seen + timedelta(seconds=30))
    assert not worker.is_online(worker.last_seen + timedelta(seconds=31))


def test_revoking_waits_for_the_runs_of_a_host_that_is_there(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    runs.deploy(administrator, draft(administrator, worker).pk)
    refused = workers.revoke(administrator, worker.pk)
    assert isinstance(refused, Refused)
    assert refused.run == Run.objects.get().pk


def test_revoking_a_host_that_is_gone_ends_its_runs(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    runs.deploy(administrator, draft(administrator, worker).pk)
    Worker.objects.update(last_seen=timezone.now() - timedelta(hours=1))
    assert isinstance(workers.revoke(administrator, worker.pk), Worker)
    assert Run.objects.get().state == Run.State.WITHDRAWN
    assert Instance.objects.get().state == Instance.State.DRAFT


def test_the_portals_settings_of_a_worker_are_checked_and_kept(
    administrator: Actor, person: Callable[[Role], User]
) -> None:
    worker, _ = enrolled(administrator)
    operator = person(Role.OPERATOR)
    values = WorkerSettings(
        default_admin_email="ops@example.com",
        default_hostname_pattern="{name}-portal.{host}",
        default_schedule=False,
        allowed_user_ids=(operator.pk,),
    )
    kept = workers.update_worker(administrator, worker.pk, values)
    assert isinstance(kept, Worker)
    assert list(kept.allowed_users.all()) == [operator]
    for name, value in (
        ("default_admin_email", "nobody"),
        ("default_hostname_pattern", "portal.{host}"),
        ("default_hostname_pattern", "{name}.{host}/x"),
        ("allowed_user_ids", (999,)),
    ):
        refused = workers.update_worker(administrator, worker.pk, replace(values, **{name: value}))
        assert isinstance(refused, Refused), (name, value)
        assert refused.problems[0].field == name.replace("_user_ids", "_users")


def test_only_administrators_look_after_workers(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    for role in (Role.VIEWER, Role.OPERATOR):
        actor = Actor("x", role, 99)
        answers = (
            workers.create_worker(actor, WorkerForm(name="other"), "pin"),
            workers.invite(actor, worker.pk, "pin"),
            workers.update_worker(actor, worker.pk, WorkerSettings()),
            workers.accept_host(actor, worker.pk),
            workers.revoke(actor, worker.pk),
        )
        assert all(isinstance(answer, Refused) and answer.kind == "forbidden" for answer in answers)


def test_every_act_is_on_record_with_who_and_from_where(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    workers.revoke(administrator, worker.pk)
    acts = list(AuditEntry.objects.order_by("id").values_list("what", "who", "address"))
    assert acts == [
        ("worker.create", "administrator", "192.0.2.1"),
        ("worker.invite", "administrator", "192.0.2.1"),
        ("worker.enrol", "worker web-1", "192.0.2.7"),
        ("worker.revoke", "administrator", "192.0.2.1"),
    ]
