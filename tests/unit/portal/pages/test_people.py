import re
from collections.abc import Callable

import pytest
from django.test import Client

from central_dispatch.fleet.actor import Actor, Limits, Role
from central_dispatch.fleet.models import Instance, Worker
from central_dispatch.portal.accounts.models import ApiToken, User
from central_dispatch.portal.accounts.tokens import actor_by_token
from central_dispatch.portal.audit.models import AuditEntry
from dispatchers.fleet import draft, enrolled


@pytest.fixture
def root(administrator: Actor, browser: Callable[..., Client]) -> Client:
    return browser(User.objects.get(pk=administrator.user_id), csrf=False)


def shown(page: bytes, name: str) -> str:
    found = re.search(rf'<code id="{name}">([^<]+)</code>', page.decode())
    assert found
    return found[1]


def test_a_new_person_signs_in_with_the_one_time_password_and_changes_it_before_anything_else(
    root: Client, administrator: Actor
) -> None:
    worker, _ = enrolled(administrator)
    instance = draft(administrator, worker)
    values = {"username": "ada", "roles": ["operator", "worker_manager"], "instances": instance.name}
    page = root.post("/users/new/", values, secure=True)
    assert page.status_code == 200
    assert page["cache-control"] == "no-store"
    password = shown(page.content, "password")
    ada = User.objects.get(username="ada")
    assert ada.roles == Role.OPERATOR | Role.WORKER_MANAGER
    assert ada.limits == Limits(instances=frozenset({instance.pk}))
    client = Client(headers={"host": "localhost"})
    client.post("/login/", {"username": "ada", "password": password}, secure=True)
    assert client.get("/runs/", secure=True)["location"] == "/account/"
    assert client.get("/api/v1/runs", secure=True).status_code == 403
    fresh = {"old_password": password, "new_password1": "only ada knows it", "new_password2": "only ada knows it"}
    assert client.post("/account/", fresh, secure=True).status_code == 302
    assert client.get("/runs/", secure=True).status_code == 200
    assert password.encode() not in root.get(f"/users/{ada.pk}/", secure=True).content


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"username": "a b", "roles": ["viewer"]}, b"letters, digits"),
        ({"username": "administrator", "roles": ["viewer"]}, b"is taken"),
        ({"username": "ada", "roles": ["emperor"]}, b"emperor"),
        ({"username": "ada", "roles": ["viewer"], "instances": "nothing-there"}, b"There is no instance nothing-there"),
    ],
)
def test_what_is_wrong_with_a_new_account_is_said_at_its_field(
    root: Client, values: dict[str, object], words: bytes
) -> None:
    page = root.post("/users/new/", values, secure=True)
    assert page.status_code == 422
    assert words in page.content


def test_rights_are_changed_and_the_last_administrator_stays(root: Client, person: Callable[..., User]) -> None:
    ada = person(Role.VIEWER, "ada")
    assert root.post(f"/users/{ada.pk}/edit/", {"roles": ["instance_cache"]}, secure=True).status_code == 302
    ada.refresh_from_db()
    assert ada.roles == Role.INSTANCE_CACHE
    me = User.objects.get(username="administrator")
    page = root.post(f"/users/{me.pk}/edit/", {"roles": ["viewer"]}, secure=True)
    assert page.status_code == 422
    assert b"the last administrator" in page.content


def test_a_limit_to_what_is_revoked_or_deleted_or_not_on_the_page_stays_where_it_is_not_unticked(
    root: Client, administrator: Actor, person: Callable[..., User]
) -> None:
    worker, _ = enrolled(administrator)
    instance = draft(administrator, worker)
    ada = person(Role.OPERATOR, "ada")
    limits = Limits(frozenset({worker.pk}), frozenset({instance.pk}), frozenset({"7"}))
    ada.limits = limits
    ada.save()
    Instance.objects.filter(pk=instance.pk).update(state=Instance.State.DELETED)
    Worker.objects.filter(pk=worker.pk).update(state=Worker.State.REVOKED)
    page = root.get(f"/users/{ada.pk}/edit/", secure=True).content.decode()
    ticked = re.findall(r'name="workers" value="([^"]+)"[^>]*checked', page)
    named = re.findall(r"<textarea[^>]*>\s*([^<]*)</textarea>", page)
    values = {"roles": ["operator", "viewer"], "workers": ticked, "instances": named[0]}
    assert root.post(f"/users/{ada.pk}/edit/", values, secure=True).status_code == 302
    ada.refresh_from_db()
    assert (ada.roles, ada.limits) == (Role.OPERATOR | Role.VIEWER, limits)
    assert root.post(f"/users/{ada.pk}/edit/", {**values, "workers": []}, secure=True).status_code == 302
    ada.refresh_from_db()
    assert not ada.limits.workers
    assert worker.pk not in root.get(f"/users/{ada.pk}/edit/", secure=True).content.decode(), "offered no more"


def test_an_account_is_kept_out_let_in_given_a_password_and_removed(root: Client, person: Callable[..., User]) -> None:
    ada = person(Role.VIEWER, "ada")
    root.post(f"/users/{ada.pk}/deactivate/", secure=True)
    assert not User.objects.get(pk=ada.pk).is_active
    root.post(f"/users/{ada.pk}/activate/", secure=True)
    assert User.objects.get(pk=ada.pk).is_active
    password = shown(root.post(f"/users/{ada.pk}/password/", secure=True).content, "password")
    assert User.objects.get(pk=ada.pk).check_password(password)
    assert root.post(f"/users/{ada.pk}/remove/", {"typed_name": "eve"}, secure=True).status_code == 422
    root.post(f"/users/{ada.pk}/remove/", {"typed_name": "ada"}, secure=True)
    assert not User.objects.filter(username="ada").exists()
    acts = set(AuditEntry.objects.filter(title="ada").values_list("what", flat=True))
    assert acts == {"account.deactivate", "account.activate", "account.password", "account.remove"}


def test_sessions_of_another_are_ended(
    root: Client, person: Callable[..., User], browser: Callable[..., Client]
) -> None:
    ada = person(Role.VIEWER, "ada")
    client = browser(ada)
    assert client.get("/", secure=True).status_code == 200
    assert b"Sign out everywhere" in root.get(f"/users/{ada.pk}/", secure=True).content
    root.post(f"/users/{ada.pk}/sessions/end/", secure=True)
    assert client.get("/", secure=True).status_code == 302


def test_the_list_finds_by_name_and_role(root: Client, person: Callable[..., User]) -> None:
    person(Role.VIEWER, "ada")
    person(Role.OPERATOR, "bob")
    for query, there, missing in (("q=ad", b">ada<", b">bob<"), ("role=operator", b">bob<", b">ada<")):
        page = root.get(f"/users/?{query}", secure=True, headers={"hx-request": "true"}).content
        assert there in page
        assert missing not in page


def test_a_token_is_made_for_what_was_ticked_shown_once_and_revoked(
    root: Client, person: Callable[..., User], browser: Callable[..., Client]
) -> None:
    client = browser(person(Role.WORKER_MANAGER, "ada"), csrf=False)
    page = client.post("/tokens/new/", {"name": "ci", "scope": ["job.*", "*.view"], "days": "7"}, secure=True)
    text = shown(page.content, "token")
    actor = actor_by_token(text, "192.0.2.1")
    assert actor
    assert actor.scope == ("*.view", "job.*")
    assert text.encode() not in client.get("/tokens/", secure=True).content
    for bad in ({"name": "", "scope": ["*"], "days": "7"}, {"name": "x", "days": "7"}, {"name": "x", "scope": ["*"]}):
        assert client.post("/tokens/new/", bad, secure=True).status_code == 422
    outsider = client.post("/tokens/new/", {"name": "x", "scope": ["worker.*"], "days": "7"}, secure=True)
    assert outsider.status_code == 422
    token = ApiToken.objects.get()
    assert b">ada<" in root.get("/tokens/?all=1", secure=True).content
    eve = browser(person(Role.OPERATOR, "eve"), csrf=False)
    assert b"No tokens" in eve.get("/tokens/?all=1", secure=True).content
    eve.post(f"/tokens/{token.pk}/revoke/", secure=True)
    assert actor_by_token(text, "192.0.2.1")
    client.post(f"/tokens/{token.pk}/revoke/", secure=True)
    assert actor_by_token(text, "192.0.2.1") is None
