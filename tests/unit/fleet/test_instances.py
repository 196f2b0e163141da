from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central_dispatch.fleet import queries
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.forms import InstanceForm, WorkerForm
from central_dispatch.fleet.models import Instance, InstanceHostname, Run, Worker
from central_dispatch.fleet.refusal import Refused
from central_dispatch.fleet.services import instances, runs, workers
from central_dispatch.fleet.services.events import record_events
from central_dispatch.portal.accounts.models import User
from central_dispatch.provisioning.spec import InstanceSpec, OwnCertificate
from central_dispatch.provisioning.trust import unseal
from dispatchers.certificates import HOSTS, LEAF, LEAF_KEY, MIDDLE, pem
from dispatchers.fixtures import stored
from dispatchers.fleet import draft, enrolled, form, report


def refused_fields(answer: object) -> list[str]:
    assert isinstance(answer, Refused), answer
    assert all("\n" not in str(problem) for problem in answer.problems)
    return [problem.field for problem in answer.problems]


def test_what_is_left_blank_follows_from_the_name_and_the_worker(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    instance = draft(administrator, worker, "acme-press")
    assert instance.hostname_list == ["acme-press.host.example.com"]
    assert (instance.web_root, instance.database, instance.database_user) == (
        "acme-press",
        "acme_press",
        "acme_press",
    )
    assert instance.state == Instance.State.DRAFT
    assert instance.url == "https://acme-press.host.example.com/"


def test_a_prefilled_database_is_never_one_of_the_servers_own(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    assert instances.prefill(worker, "test").database == "test_portal"
    assert not isinstance(instances.create_instance(administrator, form(worker, "test")), Refused)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"name": "Acme"}, ["name"]),
        ({"hostnames": ("https://x",)}, ["hostnames"]),
        ({"hostnames": ("a.host.example.com", "A.host.example.com")}, ["hostnames"]),
        ({"source": ""}, ["source"]),
        ({"source": "nothing"}, ["source"]),
        ({"source": "broken", "release": "1"}, ["source"]),
        ({"release": "9.9"}, ["release"]),
        ({"web_root": "../x"}, ["web_root"]),
        ({"database": "mysql"}, ["database"]),
        ({"database_user": "root"}, ["database_user"]),
        ({"admin_email": "x"}, ["admin_email"]),
        ({"admin_email": ""}, ["admin_email"]),
        ({"hostnames": ("acme.example.org",)}, ["certificate"]),
        ({"own_certificate": True}, ["certificate", "key"]),
        ({"worker": "0" * 32}, ["worker"]),
    ],
)
def test_each_bad_value_is_refused_with_its_field(
    administrator: Actor, change: dict[str, object], fields: list[str]
) -> None:
    worker, _ = enrolled(administrator)
    bad = replace(form(worker), **change)
    assert sorted(set(refused_fields(instances.create_instance(administrator, bad)))) == fields
    assert not Instance.objects.exists()


def test_everything_wrong_is_named_at_once(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    bad = form(worker, "Bad Name", hostnames=("-",), web_root="/", database="a b", admin_email="")
    fields = refused_fields(instances.create_instance(administrator, bad))
    assert {"name", "hostnames", "web_root", "database", "admin_email"} <= set(fields)


def test_a_second_instance_may_not_take_what_the_first_holds(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    other, _ = enrolled(administrator, "web-2")
    draft(administrator, worker, "first", hostnames=("shared.host.example.com",))
    same_name = instances.create_instance(administrator, form(other, "first"))
    assert refused_fields(same_name) == ["name"]
    same_host = instances.create_instance(administrator, form(other, "second", hostnames=("shared.host.example.com",)))
    assert refused_fields(same_host) == ["hostnames"]
    here = instances.create_instance(
        administrator, form(worker, "third", web_root="first", database="first", database_user="first")
    )
    assert refused_fields(here) == ["web_root", "database", "database_user"]
    elsewhere = instances.create_instance(administrator, form(other, "third", web_root="first", database="first"))
    assert isinstance(elsewhere, Instance)


def test_a_deleted_instance_gives_its_name_and_hostnames_back(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    first = draft(administrator, worker)
    deleted = runs.delete(administrator, first.pk, "acme-press")
    assert isinstance(deleted, Instance)
    assert deleted.state == Instance.State.DELETED
    assert draft(administrator, worker).hostname_list == first.hostname_list
    assert InstanceHostname.objects.filter(live_hostname=None).count() == 1


def test_a_deletion_needs_the_typed_name(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    instance = draft(administrator, worker)
    assert refused_fields(runs.delete(administrator, instance.pk, "acme")) == ["typed_name"]


def test_an_uploaded_key_is_sealed_to_the_host_and_stored_nowhere_else(administrator: Actor, database: Path) -> None:
    private = X25519PrivateKey.generate()
    worker, _ = enrolled(administrator, sealing_key=private.public_key().public_bytes_raw())
    own = form(worker, hostnames=HOSTS, own_certificate=True, certificate=LEAF, key=pem(LEAF_KEY), chain=MIDDLE)
    instance = instances.create_instance(administrator, own)
    assert isinstance(instance, Instance)
    runs.deploy(administrator, instance.pk)
    spec = InstanceSpec.model_validate(Run.objects.get().spec)
    assert isinstance(spec.tls, OwnCertificate)
    opened = unseal(bytes(spec.tls.sealed_key), private, purpose="tls-key", worker=worker.pk, instance=instance.pk)
    assert opened is not None
    assert opened.decode() == pem(LEAF_KEY)
    body = pem(LEAF_KEY).splitlines()[1].encode()
    content = stored(database)
    assert body not in content
    assert pem(LEAF_KEY) not in repr(own)


def test_the_sealed_key_is_kept_until_another_certificate_is_uploaded(administrator: Actor) -> None:
    private = X25519PrivateKey.generate()
    worker, _ = enrolled(administrator, sealing_key=private.public_key().public_bytes_raw())
    own = form(worker, hostnames=HOSTS, own_certificate=True, certificate=LEAF, key=pem(LEAF_KEY), chain=MIDDLE)
    instance = instances.create_instance(administrator, own)
    assert isinstance(instance, Instance)
    kept = instances.update_instance(administrator, instance.pk, replace(own, key="", release="6.2.0"))
    assert isinstance(kept, Instance), kept
    assert bytes(kept.sealed_key) == bytes(instance.sealed_key)
    blank = instances.update_instance(administrator, instance.pk, replace(own, key="", certificate="", chain=""))
    assert isinstance(blank, Instance), blank
    uncovered = replace(own, key="", hostnames=("other.example.com",))
    assert refused_fields(instances.update_instance(administrator, instance.pk, uncovered)) == ["certificate"]
    without_chain = replace(own, key="", chain="", certificate=LEAF + MIDDLE)
    assert "key" in refused_fields(instances.update_instance(administrator, instance.pk, without_chain))


def test_a_draft_moves_to_another_worker_only_with_its_key(administrator: Actor) -> None:
    private = X25519PrivateKey.generate().public_key().public_bytes_raw()
    worker, _ = enrolled(administrator, sealing_key=private)
    other, _ = enrolled(administrator, "web-2", sealing_key=private)
    own = form(worker, hostnames=HOSTS, own_certificate=True, certificate=LEAF, key=pem(LEAF_KEY), chain=MIDDLE)
    instance = instances.create_instance(administrator, own)
    assert isinstance(instance, Instance)
    moved = replace(own, worker=other.pk, key="")
    assert refused_fields(instances.update_instance(administrator, instance.pk, moved)) == ["key"]
    assert Instance.objects.get().worker == worker


def test_a_refused_change_changes_nothing(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    instance = draft(administrator, worker)
    plan = runs.request_plan(administrator, instance.pk)
    assert isinstance(plan, Run)
    answer = instances.update_instance(administrator, instance.pk, form(worker, release="9.9"))
    assert refused_fields(answer) == ["release"]
    plan.refresh_from_db()
    assert plan.is_open
    assert Instance.objects.get().release == "6.1.9"


def test_only_a_draft_or_a_failed_deployment_can_be_changed(administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    instance = draft(administrator, worker)
    run = runs.deploy(administrator, instance.pk)
    assert isinstance(run, Run)
    assert isinstance(instances.update_instance(administrator, instance.pk, form(worker)), Refused)
    problem = {"what": "no room", "why": "", "mend": "", "field": ""}
    record_events(worker.pk, run.pk, report(2, ("refused", -1, {"problems": [problem]})))
    assert isinstance(instances.update_instance(administrator, instance.pk, form(worker, release="6.2.0")), Instance)


def test_a_worker_that_has_not_reported_takes_no_instance(administrator: Actor) -> None:
    made = workers.create_worker(administrator, WorkerForm(), "pin")
    assert isinstance(made, workers.Invitation)
    assert "worker" in refused_fields(instances.create_instance(administrator, form(made.worker)))


@pytest.mark.parametrize("ends", ["", "soon", "2020-01-01", "2020-01-01T00:00:00"])
def test_a_default_certificate_that_has_ended_or_says_nonsense_is_not_served(administrator: Actor, ends: str) -> None:
    worker, _ = enrolled(administrator)
    worker.settings_json["default_certificate"]["not_after"] = ends
    worker.save()
    assert refused_fields(instances.create_instance(administrator, form(worker))) == ["certificate"]


def test_operators_use_only_the_workers_that_are_theirs(administrator: Actor, person: Callable[[Role], User]) -> None:
    worker, _ = enrolled(administrator)
    user = person(Role.OPERATOR)
    operator = Actor(user.username, Role.OPERATOR, user.pk)
    instance = draft(operator, worker)
    worker.allowed_users.set([administrator.user_id])
    assert list(queries.usable_workers(operator)) == []
    for answer in (
        instances.create_instance(operator, form(worker, "other")),
        instances.update_instance(operator, instance.pk, form(worker)),
        runs.deploy(operator, instance.pk),
        runs.request_plan(operator, instance.pk),
        runs.delete(operator, instance.pk, instance.name),
    ):
        assert isinstance(answer, Refused)
        assert answer.kind == "forbidden"
    assert queries.allowed_actions(operator, Instance.objects.get()) == frozenset()
    worker.allowed_users.add(user)
    assert isinstance(runs.request_plan(operator, instance.pk), Run)
    assert queries.allowed_actions(operator, Instance.objects.get()) == {
        "edit",
        "plan",
        "deploy",
        "delete",
        "inventory",
    }


TEXT = st.text(max_size=40) | st.sampled_from(
    ["a", "a.example.com", "../x", "x\n", "a;b", "`id`", "%s", "'", '"', "\x00"]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TEXT, min_size=8, max_size=8), st.lists(TEXT, max_size=3))
def test_whatever_is_typed_becomes_a_valid_spec_or_a_named_field(
    administrator: Actor, texts: list[str], hostnames: list[str]
) -> None:
    worker = Worker.objects.first() or enrolled(administrator)[0]
    name, source, release, web_root, database, user, email, worker_id = texts
    typed = InstanceForm(
        worker=worker_id if worker_id == "a" else worker.pk,
        name=name,
        hostnames=tuple(hostnames),
        source=source,
        release=release,
        web_root=web_root,
        database=database,
        database_user=user,
        admin_email=email,
    )
    answer = instances.create_instance(administrator, typed)
    if isinstance(answer, Refused):
        assert all(problem.field for problem in answer.problems)
    else:
        answer.spec()
