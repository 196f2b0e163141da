"""Every address with every role, compared with a table: a new address fails here until somebody decides about it."""

import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, clear_url_caches, get_resolver, path
from ninja.operation import PathView

from central_dispatch.fleet.actor import Role
from central_dispatch.portal.access import access_of
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.api.access import Needs
from central_dispatch.portal.api.site import api

VIEWER, OPERATOR, ADMINISTRATOR = Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR

#: The least role of every endpoint of the API.
API = {
    "GET workers": VIEWER,
    "POST workers": ADMINISTRATOR,
    "GET workers/{worker_id}": VIEWER,
    "PUT workers/{worker_id}/settings": ADMINISTRATOR,
    "POST workers/{worker_id}/invite": ADMINISTRATOR,
    "POST workers/{worker_id}/accept": ADMINISTRATOR,
    "POST workers/{worker_id}/revoke": ADMINISTRATOR,
    "GET instances": VIEWER,
    "POST instances": OPERATOR,
    "GET instances/{instance_id}": VIEWER,
    "PUT instances/{instance_id}": OPERATOR,
    "POST instances/{instance_id}/plan": OPERATOR,
    "POST instances/{instance_id}/deploy": OPERATOR,
    "POST instances/{instance_id}/delete": OPERATOR,
    "POST instances/{instance_id}/inventory": OPERATOR,
    "POST instances/{instance_id}/clear": ADMINISTRATOR,
    "GET runs": VIEWER,
    "GET runs/{run_id}": VIEWER,
    "GET runs/{run_id}/events": VIEWER,
    "POST runs/{run_id}/back-out": OPERATOR,
    "POST runs/{run_id}/retry": ADMINISTRATOR,
    "POST runs/{run_id}/acknowledge": ADMINISTRATOR,
    "GET openapi.json": VIEWER,
}
#: Addresses that need no login, and those that check a credential of their own.
PUBLIC = {"healthz", "login", "logout", "theme"}
OWN = {"host-enroll", "host-session", "host-heartbeat", "host-events"}
#: The least role of every page. A page that shows something to all may still leave its buttons out.
PAGES = {
    "overview": VIEWER,
    "account": VIEWER,
    "instances": VIEWER,
    "instance-new": OPERATOR,
    "instance": VIEWER,
    "instance-edit": OPERATOR,
    "instance-plan": VIEWER,
    "instance-deploy": OPERATOR,
    "instance-delete": OPERATOR,
    "instance-inventory": OPERATOR,
    "instance-clear": ADMINISTRATOR,
    "runs": VIEWER,
    "run": VIEWER,
    "run-back-out": OPERATOR,
    "run-retry": ADMINISTRATOR,
    "run-acknowledge": ADMINISTRATOR,
    "settings": VIEWER,
    "workers": VIEWER,
    "worker-new": ADMINISTRATOR,
    "worker": VIEWER,
    "worker-edit": ADMINISTRATOR,
    "worker-invite": ADMINISTRATOR,
    "worker-waiting": ADMINISTRATOR,
    "worker-revoke": ADMINISTRATOR,
    "worker-accept": ADMINISTRATOR,
    "audit": ADMINISTRATOR,
}


def endpoints() -> Iterator[tuple[str, str, Role | None]]:
    """Yield each operation of the API with the role that it declares."""
    for prefix, router in api._routers:
        for route, view in router.path_operations.items():
            assert isinstance(view, PathView)
            for operation in view.operations:
                (auth,) = operation.auth_callbacks
                for method in operation.methods:
                    name = f"{method} {(prefix.strip('/') + route).strip('/')}"
                    yield name, "/api/v1/" + name.split()[1], auth.role if isinstance(auth, Needs) else None


def pages(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Yield every address outside the API."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            if entry.namespace != "api":
                yield from pages(entry, prefix + str(entry.pattern))
        else:
            yield prefix + str(entry.pattern), entry


def test_every_endpoint_of_the_api_declares_the_role_of_the_table() -> None:
    assert {name: role for name, _, role in endpoints()} == API


def ask(client: Client, name: str, address: str) -> int:
    method = name.split(maxsplit=1)[0]
    path = re.sub(r"\{\w+\}", "0" * 32, address)
    body = "" if method == "GET" else "{}"
    return client.generic(method, path, body, content_type="application/json", secure=True).status_code


@pytest.mark.parametrize("role", [None, *Role])
def test_every_endpoint_admits_the_roles_of_the_table_and_no_other(
    role: Role | None, person: Callable[[Role], User], browser: Callable[..., Client]
) -> None:
    client = browser(person(role) if role else None, csrf=False)
    for name, address, _ in endpoints():
        status = ask(client, name, address)
        if role is None:
            assert status == 401, name
        elif role.includes(API[name]):
            assert status not in {401, 403}, (name, status)
        else:
            assert status == 403, (name, status)


def test_every_address_outside_the_api_declares_what_the_table_says() -> None:
    declared = {entry.name or address: access_of(entry.callback) for address, entry in pages()}
    expected = {**PAGES, **dict.fromkeys(PUBLIC, "public"), **dict.fromkeys(OWN, "own")}
    assert declared == expected


def example(address: str) -> str:
    """Return an address that the pattern matches, with ids that do not exist."""
    text = re.sub(r"<(?:(\w+):)?\w+>", lambda m: "1" if m.group(1) == "int" else "0" * 32, address)
    return "/" + text.replace("^", "").replace("$", "")


@pytest.mark.parametrize("role", [None, *Role])
def test_every_page_admits_the_roles_that_it_declares_and_no_other(
    role: Role | None, person: Callable[[Role], User], browser: Callable[..., Client]
) -> None:
    client = browser(person(role) if role else None, csrf=False)
    for address, entry in pages():
        declared = PAGES.get(entry.name or "")
        if declared is None:
            continue
        for method in ("GET", "POST"):
            response = client.generic(method, example(address), secure=True)
            if role is None:
                assert response.status_code == 302, address
                assert response["location"].startswith("/login"), address
            elif role.includes(declared):
                assert response.status_code not in {302, 403} or method == "POST", (address, response.status_code)
            else:
                assert response.status_code == 403, (address, response.status_code)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_browser_can_be_made_to_act_from_another_site(
    method: str, person: Callable[[Role], User], browser: Callable[..., Client]
) -> None:
    client = browser(person(Role.ADMINISTRATOR), csrf=True)
    addresses = [example(address) for address, entry in pages() if entry.name not in OWN | {"healthz"}]
    addresses += [re.sub(r"\{\w+\}", "0" * 32, address) for name, address, _ in endpoints() if name.startswith(method)]
    for address in addresses:
        assert client.generic(method, address, "{}", content_type="application/json", secure=True).status_code in {
            403,
            405,
        }, address


def test_a_view_without_a_declaration_is_closed_to_everybody(
    person: Callable[[Role], User], browser: Callable[..., Client], settings_urlconf: str
) -> None:
    client = browser(person(Role.ADMINISTRATOR))
    assert client.get("/undeclared", secure=True).status_code == 403
    assert settings_urlconf


@pytest.fixture
def settings_urlconf(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    module = types.ModuleType("undeclared_urls")
    module.urlpatterns = [path("undeclared", lambda _request: HttpResponse("reached"))]  # type: ignore[attr-defined] # made here
    monkeypatch.setattr(settings, "ROOT_URLCONF", module)
    clear_url_caches()
    yield "undeclared_urls"
    monkeypatch.undo()
    clear_url_caches()


def test_the_reference_says_of_each_endpoint_the_role_that_it_needs() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "api.md").read_text()
    rows = re.findall(r"^\| `([A-Z]+ [^`]+)` \| (\w+) \|", text, flags=re.MULTILINE)
    assert {name: Role(role) for name, role in rows} == API
