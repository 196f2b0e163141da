import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.accounts.models import ApiToken, User
from central_dispatch.portal.accounts.tokens import NewToken, create_token, revoke_token
from central_dispatch.portal.audit.models import AppendOnly, AuditEntry
from dispatchers.fleet import draft, enrolled


class Api:
    """A program with a token."""

    def __init__(self, token: str) -> None:
        self.token = token
        self._client = Client(enforce_csrf_checks=True, headers={"host": "localhost"}, raise_request_exception=False)

    def ask(self, method: str, path: str, value: object = None) -> HttpResponse:
        body = json.dumps(value) if value is not None else ""
        headers = {"authorization": f"Bearer {self.token}"}
        address = f"/api/v1/{path}"
        return self._client.generic(
            method, address, body, content_type="application/json", secure=True, headers=headers
        )

    def get(self, path: str) -> Any:
        response = self.ask("GET", path)
        assert response.status_code == 200, response.content
        return json.loads(response.content)


@pytest.fixture
def token(person: Callable[..., User]) -> Callable[[Role], NewToken]:
    def make(role: Role) -> NewToken:
        user = person(role, f"program-{role.word}")
        made = create_token(user.actor("page", ""), user, "ci", ["*"], 30)
        assert isinstance(made, NewToken)
        return made

    return make


def test_a_token_needs_no_csrf_and_acts_as_its_owner(token: Callable[[Role], NewToken], administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    api = Api(token(Role.OPERATOR).text)
    values = {"worker": worker.pk, "name": "acme", "source": "wordpress", "release": "6.1.9", "admin_email": "a@b.com"}
    made = api.ask("POST", "instances", values)
    assert made.status_code == 201, made.content
    entry = AuditEntry.objects.get(what="instance.create")
    assert (entry.who, entry.via) == ("program-operator", "api")


def test_a_token_opens_nothing_once_it_is_old_revoked_or_its_owner_gone(
    token: Callable[[Role], NewToken], administrator: Actor
) -> None:
    made = token(Role.VIEWER)
    api = Api(made.text)
    assert api.ask("GET", "workers").status_code == 200
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert api.ask("GET", "workers").status_code == 401
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
    User.objects.filter(pk=made.token.user_id).update(is_active=False)
    assert api.ask("GET", "workers").status_code == 401
    User.objects.update(is_active=True)
    assert api.ask("GET", "workers").status_code == 200
    revoke_token(administrator, made.token.pk)
    assert api.ask("GET", "workers").status_code == 401
    assert Api("nonsense").ask("GET", "workers").status_code == 401


def test_a_token_is_never_mightier_than_its_owner_is_now(token: Callable[[Role], NewToken]) -> None:
    made = token(Role.ADMINISTRATOR)
    api = Api(made.text)
    assert api.ask("POST", "workers", {"name": "one"}).status_code == 201
    User.objects.update(role_words="viewer")
    assert api.ask("POST", "workers", {"name": "two"}).status_code == 403
    assert api.ask("GET", "workers").status_code == 200


def test_a_wrong_token_does_not_fall_back_to_the_session(
    person: Callable[[Role], User], browser: Callable[..., Client]
) -> None:
    client = browser(person(Role.ADMINISTRATOR))
    response = client.get("/api/v1/workers", secure=True, headers={"authorization": "Bearer wrong"})
    assert response.status_code == 401


def test_nobody_gives_away_more_than_they_have(person: Callable[[Role], User]) -> None:
    viewer, operator = person(Role.VIEWER), person(Role.OPERATOR)
    actor = viewer.actor("page", "")
    for answer in (
        create_token(actor, viewer, "x", ["instance.deploy"], 1),
        create_token(actor, viewer, "x", ["*.view", "worker.*"], 1),
        create_token(actor, viewer, "x", [], 1),
        create_token(actor, viewer, "", ["*"], 1),
        create_token(actor, viewer, "x", ["*"], 1000),
        create_token(actor, operator, "x", ["*"], 1),
        create_token(replace(actor, via="api", scope=("account.own",)), viewer, "x", ["*"], 1),
    ):
        assert isinstance(answer, Refused)
    made = create_token(operator.actor("page", ""), operator, "x", ["instance.*"], 1)
    assert isinstance(made, NewToken)
    assert made.text not in repr(made)
    assert isinstance(revoke_token(actor, made.token.pk), Refused)


def test_a_token_opens_only_what_it_is_for(person: Callable[[Role], User]) -> None:
    owner = person(Role.ADMINISTRATOR)
    made = create_token(owner.actor("page", ""), owner, "x", ["fleet.view", "worker.create"], 1)
    assert isinstance(made, NewToken)
    api = Api(made.text)
    assert api.ask("GET", "workers").status_code == 200
    worker = json.loads(api.ask("POST", "workers", {"name": "one"}).content)["worker"]["id"]
    assert api.ask("POST", f"workers/{worker}/revoke").status_code == 403


def test_a_refusal_is_a_problem_document_with_every_field(
    token: Callable[[Role], NewToken], administrator: Actor
) -> None:
    worker, _ = enrolled(administrator)
    api = Api(token(Role.OPERATOR).text)
    bad = api.ask("POST", "instances", {"worker": worker.pk, "name": "Bad Name", "release": "x", "admin_email": "y"})
    assert bad.status_code == 422
    assert bad["content-type"] == "application/problem+json"
    fields = {problem["field"] for problem in json.loads(bad.content)["problems"]}
    assert fields == {"name", "source", "admin_email"}
    shape = api.ask("POST", "instances", {"worker": 7})
    assert {problem["field"] for problem in json.loads(shape.content)["problems"]} == {"worker", "name"}
    assert api.ask("GET", "instances/" + "0" * 32).status_code == 404
    assert api.ask("POST", "instances", "not an object").status_code == 422
    assert api.ask("DELETE", "instances").status_code == 405


def test_the_second_who_deploys_is_told_the_run(token: Callable[[Role], NewToken], administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    instance = draft(administrator, worker)
    api = Api(token(Role.OPERATOR).text)
    first = api.ask("POST", f"instances/{instance.pk}/deploy")
    second = api.ask("POST", f"instances/{instance.pk}/deploy")
    assert (first.status_code, second.status_code) == (202, 409)
    assert json.loads(second.content)["run"] == json.loads(first.content)["id"]


def test_a_list_comes_in_pages(token: Callable[[Role], NewToken], administrator: Actor) -> None:
    worker, _ = enrolled(administrator)
    for number in range(5):
        draft(administrator, worker, f"acme-{number}")
    api = Api(token(Role.VIEWER).text)
    page = api.get("instances?limit=2&offset=2")
    assert ([item["name"] for item in page["items"]], page["count"]) == (["acme-2", "acme-3"], 5)
    assert [item["name"] for item in api.get("instances?text=acme-4")["items"]] == ["acme-4"]
    assert api.get("instances?state=active")["items"] == []
    assert api.ask("GET", "instances?state=nonsense").status_code == 422
    assert api.ask("GET", "instances?limit=501").status_code == 422


def test_the_document_describes_every_endpoint(token: Callable[[Role], NewToken]) -> None:
    document = Api(token(Role.VIEWER).text).get("openapi.json")
    assert document["openapi"].startswith("3.1")
    operations = [op for item in document["paths"].values() for op in item.values()]
    assert len(operations) == 35
    for operation in operations:
        assert operation["security"], operation
        assert {"401", "403"} <= set(operation["responses"])
    # A key goes in and never comes out.
    assert "key" not in document["components"]["schemas"]["InstanceOut"]["properties"]


def test_an_audit_entry_can_be_neither_changed_nor_removed(administrator: Actor) -> None:
    enrolled(administrator)
    entry = AuditEntry.objects.latest("id")
    entry.who = "somebody else"
    with pytest.raises(AppendOnly):
        entry.save()
    with pytest.raises(AppendOnly):
        entry.delete()
    for change in (lambda: AuditEntry.objects.update(who="x"), lambda: AuditEntry.objects.all().delete()):
        with pytest.raises(AppendOnly):
            change()


def test_who_comes_and_who_is_locked_out_is_on_record(person: Callable[[Role], User]) -> None:
    user = person(Role.VIEWER)
    user.set_password("correct horse battery staple")
    user.save()
    client = Client(headers={"host": "localhost"})
    for _ in range(5):
        client.post("/login/", {"username": "viewer", "password": "wrong"}, secure=True)
    shut = client.post("/login/", {"username": "viewer", "password": "correct horse battery staple"}, secure=True)
    assert shut.status_code == 429
    elsewhere = client.post(
        "/login/",
        {"username": "viewer", "password": "correct horse battery staple"},
        secure=True,
        REMOTE_ADDR="192.0.2.99",
    )
    assert elsewhere.status_code == 302
    acts = set(AuditEntry.objects.values_list("what", "who", "address"))
    assert {("login.locked_out", "viewer", "127.0.0.1"), ("login", "viewer", "192.0.2.99")} <= acts
