import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import Client

from central_dispatch.fleet.actor import Actor, Limits, Role
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.accounts import people
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.people import (
    NewPassword,
    add_person,
    change_rights,
    new_password,
    remove_person,
    rights_of,
    set_active,
)
from central_dispatch.portal.audit.models import AuditEntry
from dispatchers import fleet


def test_a_person_gets_a_generated_password_that_is_stored_nowhere(administrator: Actor) -> None:
    made = add_person(administrator, "ada", Role.OPERATOR)
    assert isinstance(made, NewPassword)
    assert made.user.check_password(made.password)
    assert made.password not in repr(made)
    assert all(made.password not in str(entry.__dict__) for entry in AuditEntry.objects.all())
    for name in ("ada", "ADA", "", "a b", "x" * 151):
        refused = add_person(administrator, name, Role.VIEWER)
        assert isinstance(refused, Refused), name
        assert refused.problems[0].field == "username"


def test_a_new_password_replaces_the_old_one(administrator: Actor) -> None:
    made = add_person(administrator, "ada", Role.OPERATOR)
    assert isinstance(made, NewPassword)
    fresh = new_password(administrator, "ada")
    assert isinstance(fresh, NewPassword)
    user = User.objects.get(username="ada")
    assert user.check_password(fresh.password)
    assert not user.check_password(made.password)
    assert isinstance(new_password(administrator, "nobody"), Refused)


def test_there_is_always_an_administrator(administrator: Actor) -> None:
    last = change_rights(administrator, "administrator", Role.VIEWER)
    assert isinstance(last, Refused)
    assert last.problems[0].field == "roles"
    add_person(administrator, "ada", Role.VIEWER)
    assert isinstance(change_rights(administrator, "ada", Role.ADMINISTRATOR), User)
    assert isinstance(change_rights(administrator, "administrator", Role.VIEWER), User)
    User.objects.filter(username="administrator").update(role_words="administrator", is_active=False)
    assert isinstance(change_rights(administrator, "ada", Role.OPERATOR), Refused)


def test_only_administrators_look_after_accounts(administrator: Actor) -> None:
    add_person(administrator, "ada", Role.OPERATOR)
    operator = Actor("ada", Role.OPERATOR, 99)
    for answer in (
        add_person(operator, "eve", Role.ADMINISTRATOR),
        new_password(operator, "administrator"),
        change_rights(operator, "ada", Role.ADMINISTRATOR),
        remove_person(operator, "administrator"),
    ):
        assert isinstance(answer, Refused)
        assert answer.kind == "forbidden"


def test_a_password_that_is_given_has_to_be_good(administrator: Actor) -> None:
    made = add_person(administrator, "ada", Role.OPERATOR, "correct horse battery")
    assert isinstance(made, NewPassword)
    for bad in ("", "short", "password1234", "ada@example"):
        refused = new_password(administrator, "ada", bad)
        assert isinstance(refused, Refused), bad
        assert {problem.field for problem in refused.problems} == {"password"}
    assert User.objects.get(username="ada").check_password("correct horse battery")


def test_removing_a_person_opens_no_worker_to_others(administrator: Actor) -> None:
    """An empty list of users means that every operator may use the worker."""
    for name in ("ada", "bob"):
        add_person(administrator, name, Role.OPERATOR)
    ada, bob = User.objects.get(username="ada"), User.objects.get(username="bob")
    worker, _ = fleet.enrolled(administrator)
    worker.allowed_users.set([ada])
    refused = remove_person(administrator, "ada")
    assert isinstance(refused, Refused)
    assert worker.name in refused.problems[0].what
    worker.allowed_users.set([ada, bob])
    assert isinstance(remove_person(administrator, "ada"), User)
    assert list(worker.allowed_users.all()) == [bob]


def test_who_gets_other_rights_a_new_password_or_is_kept_out_is_logged_out_at_once(administrator: Actor) -> None:
    add_person(administrator, "ada", Role.OPERATOR | Role.WORKER_MANAGER, "a first battery staple")
    instance = fleet.draft(administrator, fleet.enrolled(administrator)[0])
    for act in (
        lambda: change_rights(administrator, "ada", Role.VIEWER),
        lambda: change_rights(administrator, "ada", Role.VIEWER, Limits(instances=frozenset({instance.pk}))),
        lambda: new_password(administrator, "ada", "correct horse battery"),
        lambda: set_active(administrator, "ada", active=False),
    ):
        browser = Client(headers={"host": "localhost"})
        browser.force_login(User.objects.get(username="ada"), backend="django.contrib.auth.backends.ModelBackend")
        assert browser.get("/", secure=True).status_code == 200
        assert not isinstance(act(), Refused)
        assert browser.get("/", secure=True).status_code == 302
    assert isinstance(set_active(administrator, "ada", active=True), User)


def test_a_change_that_changes_nothing_logs_nobody_out_and_is_not_on_record(administrator: Actor) -> None:
    add_person(administrator, "ada", Role.OPERATOR)
    before = AuditEntry.objects.count()
    assert isinstance(change_rights(administrator, "ada", Role.OPERATOR), User)
    assert isinstance(set_active(administrator, "ada", active=True), User)
    assert AuditEntry.objects.count() == before


def test_the_last_administrator_is_not_kept_out(administrator: Actor) -> None:
    assert isinstance(set_active(administrator, "administrator", active=False), Refused)


def test_limits_name_things_that_exist(administrator: Actor) -> None:
    refused = add_person(administrator, "ada", Role.OPERATOR, limits=Limits(workers=frozenset({"nothing"})))
    assert isinstance(refused, Refused)
    assert refused.problems[0].field == "workers"


def test_of_two_administrators_who_are_demoted_at_once_one_stays(
    administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_person(administrator, "ada", Role.ADMINISTRATOR)
    both, seen = threading.Barrier(2), threading.local()

    def together(user: User) -> dict[str, list[str]]:
        # Its second call is after the check and before the change: there each waits for the other, if it can.
        seen.calls = getattr(seen, "calls", 0) + 1
        if seen.calls == 2:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(1)
        return rights_of(user)

    def demote(name: str) -> object:
        try:
            return change_rights(administrator, name, Role.VIEWER)
        finally:
            connections.close_all()

    monkeypatch.setattr(people, "rights_of", together)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(demote, ("administrator", "ada")))
    assert sorted(type(answer).__name__ for answer in answers) == ["Refused", "User"]
    assert User.objects.holding(Role.ADMINISTRATOR).count() == 1
