"""Every address, method and role, on one's own things and on foreign ones, compared with rights.toml."""

import asyncio
import re
import tomllib
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, clear_url_caches, get_resolver, path
from ninja.operation import PathView

from central_dispatch.fleet.actor import Actor, Limits, Role
from central_dispatch.fleet.models import Instance, Run
from central_dispatch.fleet.permissions import ACTS
from central_dispatch.fleet.services import runs
from central_dispatch.portal.access import access_of
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.tokens import NewToken, create_token
from central_dispatch.portal.api.access import Needs
from central_dispatch.portal.api.site import api
from central_dispatch.portal.asgi import Application
from central_dispatch.portal.asgi_messages import Message
from central_dispatch.portal.live.hub import Hub
from central_dispatch.portal.live.stream import stream
from dispatchers.fleet import draft, enrolled

TABLE: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "rights.toml").read_text())
PAGES, API = TABLE["pages"], TABLE["api"]
LETTERS = dict(zip("AOUCLWV", Role, strict=True))
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
UNSAFE = METHODS[1:]


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    method: str
    address: str
    rule: str

    @property
    def roles(self) -> set[Role]:
        return set(Role) if "all" in self.rule.split() else {LETTERS[x] for x in self.rule.split() if x in LETTERS}

    @property
    def is_limited(self) -> bool:
        return "own" in self.rule.split()


def rows(part: dict[str, str]) -> list[Row]:
    return [Row(*line.split(maxsplit=1), rule) for line, rule in part.items()]


def patterns(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[tuple[str, URLPattern]]:
    """Yield every address that Django serves, written as the table writes it."""
    for entry in (resolver or get_resolver()).url_patterns:
        text = str(entry.pattern).removeprefix("^").removesuffix("$")
        text = re.sub(r"<\w+:(\w+)>", r"<\1>", re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", text))
        if isinstance(entry, URLResolver):
            yield from patterns(entry, prefix + text)
        else:
            yield prefix + text, entry


def test_the_table_has_a_line_for_each_address_and_none_too_many() -> None:
    served = {address for address, _ in patterns()} - {"/api/v1/"}
    listed = {row.address for part in (PAGES, API, TABLE["hosts"]) for row in rows(part)}
    assert served == listed
    assert {row.address.partition("?")[0] for row in rows(TABLE["native"])} == set(Application().native)


def test_every_address_declares_an_act_of_the_table_of_acts() -> None:
    for address, entry in patterns():
        declared = access_of(entry.callback)
        if address.startswith(("/api/", "/host/")):
            assert declared == "own", address
        elif all(row.rule == "public" for row in rows(PAGES) if row.address == address):
            assert declared == "public", address
        else:
            assert declared in ACTS, address


def endpoints() -> Iterator[tuple[str, str | None]]:
    """Yield each operation of the API with the act that it declares."""
    for prefix, router in api._routers:
        for route, view in router.path_operations.items():
            assert isinstance(view, PathView)
            for operation in view.operations:
                (auth,) = operation.auth_callbacks
                for method in operation.methods:
                    address = (prefix.strip("/") + route).strip("/")
                    yield f"{method} {address}", auth.act if isinstance(auth, Needs) else None


def test_every_endpoint_of_the_api_declares_an_act_and_has_its_line() -> None:
    declared = dict(endpoints())
    assert None not in declared.values()
    written = {re.sub(r"\{(\w+)\}", r"<\1>", name).replace(" ", " /api/v1/", 1) for name in declared}
    assert written == set(API)


@dataclass(frozen=True)
class Things:
    """What addresses name: on a worker of one's own, or a foreign one."""

    ids: dict[str, str]
    instance: Instance

    def address(self, row: Row) -> str:
        return re.sub(r"<(\w+)>", lambda found: self.ids.get(found.group(1), "0" * 32), row.address)


@pytest.fixture
def things(administrator: Actor, person: Callable[..., User]) -> dict[str, Things]:
    made = {}
    somebody = person(Role.VIEWER, "somebody")
    token = create_token(somebody.actor("page", ""), somebody, "ci", ["*"], 1)
    assert isinstance(token, NewToken)
    for whose in ("own", "foreign"):
        worker, _ = enrolled(administrator, f"web-{whose}")
        instance = draft(administrator, worker, f"acme-{whose}")
        run = runs.request_plan(administrator, instance.pk)
        assert isinstance(run, Run)
        ids = {"worker_id": worker.pk, "instance_id": instance.pk, "run_id": run.pk, "user_id": str(somebody.pk)}
        ids["token_id"] = str(token.token.pk)
        ids |= {"name": "housekeeping", "number": "1", "fence": "1", "job_id": "1"}
        made[whose] = Things(ids, instance)
    return made


def status(client: Client, row: Row, thing: Things) -> tuple[int, str]:
    """Ask, and take back what it did."""
    body: dict[str, Any] = {
        "worker": thing.ids["worker_id"],
        "name": "new-portal",
        "typed_name": thing.instance.name,
        "items": ["database"],
        "item": "database",
    }
    arguments: dict[str, Any] = {"secure": True}
    if row.method in UNSAFE:
        arguments |= {"data": body, "content_type": "application/json"} if "/api/" in row.address else {"data": body}
    with transaction.atomic():
        answer = getattr(client, row.method.lower())(thing.address(row), **arguments)
        transaction.set_rollback(True)
    return answer.status_code, answer.get("location", "")


def confined(person: Callable[..., User], role: Role, own: Things) -> User:
    user = person(role, f"a-{role.word}")
    user.limits = Limits(workers=frozenset({own.ids["worker_id"]}))
    user.save()
    return user


@pytest.mark.parametrize("part", ["pages", "api"])
@pytest.mark.parametrize("role", Role)
def test_every_address_admits_the_roles_of_its_line_to_what_is_theirs_and_no_other(
    role: Role, part: str, person: Callable[..., User], browser: Callable[..., Client], things: dict[str, Things]
) -> None:
    client = browser(confined(person, role, things["own"]), csrf=False)
    for row in rows(TABLE[part]):
        if row.rule == "public":
            continue
        for whose, thing in things.items():
            code, location = status(client, row, thing)
            closed = role not in row.roles or (row.is_limited and whose == "foreign" and role is not Role.ADMINISTRATOR)
            assert (code == 403) == closed, (row, whose, code)
            assert code not in {401, 405, 500}, (row, whose, code)
            assert not location.startswith("/login"), row


def test_nobody_who_is_not_logged_in_gets_anywhere(browser: Callable[..., Client], things: dict[str, Things]) -> None:
    client = browser(None, csrf=False)
    for row in rows(PAGES):
        code, location = status(client, row, things["own"])
        if row.rule == "public":
            assert code not in {401, 403, 405}, row
            continue
        assert code == 302, row
        assert location.startswith("/login"), row
    for row in rows(API):
        assert status(client, row, things["own"])[0] == 401, row


def test_a_person_without_a_role_gets_nowhere(
    person: Callable[..., User], browser: Callable[..., Client], things: dict[str, Things]
) -> None:
    client = browser(person(Role(0), "nobody"), csrf=False)
    for row in rows(PAGES) + rows(API):
        if row.rule != "public":
            assert status(client, row, things["own"])[0] == 403, row


def test_methods_that_have_no_line_are_not_served(
    person: Callable[..., User], browser: Callable[..., Client], things: dict[str, Things]
) -> None:
    client = browser(person(Role.ADMINISTRATOR, "root"), csrf=False)
    listed = {(row.method, row.address) for row in rows(PAGES) + rows(API)}
    for method in METHODS:
        for address in {row.address for row in rows(PAGES) + rows(API)}:
            if (method, address) not in listed:
                assert status(client, Row(method, address, ""), things["own"])[0] == 405, (method, address)


@pytest.mark.parametrize("method", UNSAFE)
def test_no_browser_can_be_made_to_act_from_another_site(
    method: str, person: Callable[..., User], browser: Callable[..., Client], things: dict[str, Things]
) -> None:
    """Nor logged in or out, nor shown another theme."""
    client = browser(person(Role.ADMINISTRATOR, "root"), csrf=True)
    for row in rows(PAGES) + rows(API):
        asked = Row(method, row.address, row.rule)
        assert status(client, asked, things["own"])[0] in {403, 405}, asked
        if row.method == method:
            assert status(client, row, things["own"])[0] == 403, row


def test_a_host_route_takes_no_session(person: Callable[..., User], browser: Callable[..., Client]) -> None:
    client = browser(person(Role.ADMINISTRATOR, "root"), csrf=False)
    for row in rows(TABLE["hosts"]):
        address = row.address.replace("<run>", "0" * 32)
        answer = client.post(address, {}, content_type="application/json", secure=True)
        assert answer.status_code in {400, 401}, row


@pytest.mark.parametrize("role", [None, *Role])
def test_the_live_stream_tells_each_role_what_its_line_says(
    role: Role | None, person: Callable[..., User], browser: Callable[..., Client]
) -> None:
    client = browser(person(role) if role else None)
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    for row in rows(TABLE["native"]):
        address, _, query = row.address.partition("?")
        if address == "/live":
            admitted = role is not None and role in row.roles
            assert asyncio.run(streamed(query, cookie)) == (200 if admitted else 403), row


async def streamed(query: str, cookie: str) -> int:
    """Ask the stream, leave at once, and return the status."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"method": "GET", "query_string": query.encode(), "headers": [(b"cookie", cookie.encode())]}
    hub = Hub(lambda _after: [])
    hub.close()
    await stream(hub, scope, receive, send)
    await asyncio.to_thread(connections.close_all)
    return int(sent[0]["status"])


def test_a_view_without_a_declaration_is_closed_to_everybody(
    person: Callable[..., User], browser: Callable[..., Client], urlconf_without_declaration: None
) -> None:
    assert urlconf_without_declaration is None
    client = browser(person(Role.ADMINISTRATOR))
    assert client.get("/undeclared", secure=True).status_code == 403


@pytest.fixture
def urlconf_without_declaration(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType("undeclared_urls")
    module.urlpatterns = [path("undeclared", lambda _request: HttpResponse("reached"))]  # type: ignore[attr-defined] # made here
    monkeypatch.setattr(settings, "ROOT_URLCONF", module)
    clear_url_caches()
    yield
    monkeypatch.undo()
    clear_url_caches()


def test_the_reference_says_of_each_endpoint_the_act_that_it_is() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "api.md").read_text()
    written = re.findall(r"^\| `([A-Z]+ [^`]+)` \| `([a-z_.]+)` \|", text, flags=re.MULTILINE)
    assert dict(written) == dict(endpoints())
