"""Login by OpenID Connect, against a provider that this suite runs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.home import home_directory
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.accounts import vouched
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.audit.models import AuditEntry
from dispatchers.oidc_provider import SECRET, Provider, running_provider

MAPPED = '[login.oidc.roles]\nadmins = ["administrator"]\nmedia = ["library_manager", "worker_manager"]\n'


@pytest.fixture
def provider(database: Path) -> Iterator[Provider]:
    assert database
    with running_provider() as running:
        yield running


@pytest.fixture
def configure(provider: Provider) -> Iterator[Callable[[str], None]]:
    home = home_directory()
    file, secret = home / "dispatcher.toml", home / "oidc-secret"

    def write(more: str = "") -> None:
        home.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f'[login.oidc]\nissuer = "{provider.issuer}"\nclient_id = "central-dispatch"\n'
            f'client_secret_file = "oidc-secret"\ntitle = "Acme ID"\n{more}'
        )
        file.chmod(0o640)
        secret.write_text(SECRET)
        secret.chmod(0o600)

    yield write
    file.unlink(missing_ok=True)
    secret.unlink(missing_ok=True)


def go(client: Client, query: str = "", change: Callable[[str], str] = str) -> HttpResponse:
    """Go to the provider and come back, as a browser does."""
    begun = client.get(f"/login/provider/?{query}", secure=True)
    assert begun.status_code == 302, begun.content
    there = httpx.get(begun["location"])
    back = urlsplit(there.headers["location"])
    return client.get(change(f"{back.path}?{back.query}"), secure=True)


def browser() -> Client:
    return Client(headers={"host": "localhost"})


def test_who_has_a_mapped_role_gets_an_account_with_it_and_in(
    provider: Provider, configure: Callable[[str], None]
) -> None:
    configure(MAPPED)
    provider.claims["groups"] = ["media", "unknown"]
    client = browser()
    assert b"Sign in with Acme ID" in client.get("/login/", secure=True).content
    answer = go(client, "next=/runs/")
    assert (answer.status_code, answer["location"]) == (302, "/runs/")
    user = User.objects.get(username="ada")
    assert user.roles == Role.LIBRARY_MANAGER | Role.WORKER_MANAGER
    assert not user.has_usable_password()
    assert client.get("/runs/", secure=True).status_code == 200
    assert {"account.create", "login"} <= set(AuditEntry.objects.filter(who="ada").values_list("what", flat=True))


def test_roles_follow_the_provider_at_each_login_and_who_has_none_any_more_stays_out(
    provider: Provider, configure: Callable[[str], None], person: Callable[..., User]
) -> None:
    configure(MAPPED)
    person(Role.ADMINISTRATOR, "root")
    provider.claims["groups"] = ["admins"]
    first = browser()
    go(first)
    provider.claims["groups"] = ["media"]
    go(browser())
    assert User.objects.get(username="ada").roles == Role.LIBRARY_MANAGER | Role.WORKER_MANAGER
    assert first.get("/", secure=True).status_code == 302, "the session with the old roles has ended"
    provider.claims["groups"] = []
    late = browser()
    assert go(late).status_code == 403
    assert late.get("/", secure=True).status_code == 302
    assert User.objects.get(username="ada").roles == Role(0)


def test_the_provider_does_not_take_the_last_administrator_away_and_lets_nobody_in_as_one_who_is_none(
    provider: Provider, configure: Callable[[str], None], person: Callable[..., User]
) -> None:
    configure(MAPPED)
    provider.claims["groups"] = ["admins"]
    go(browser())
    for groups in (["media"], []):
        provider.claims["groups"] = groups
        client = browser()
        answer = go(client)
        assert answer.status_code == 403
        assert b"the last administrator" in answer.content
        assert client.get("/", secure=True).status_code == 302
        assert User.objects.get(username="ada").roles == Role.ADMINISTRATOR
    person(Role.ADMINISTRATOR, "root")
    provider.claims["groups"] = ["media"]
    assert go(browser()).status_code == 302
    assert Role.ADMINISTRATOR not in User.objects.get(username="ada").roles


def test_nobody_gets_in_who_is_neither_mapped_nor_linked(provider: Provider, configure: Callable[[str], None]) -> None:
    configure("")
    provider.claims["groups"] = ["admins"]
    assert go(browser()).status_code == 403
    configure(MAPPED)
    provider.claims["groups"] = ["strangers"]
    assert go(browser()).status_code == 403
    assert not User.objects.exists()


def test_a_name_alone_opens_no_account_that_is_there(
    provider: Provider, configure: Callable[[str], None], person: Callable[..., User]
) -> None:
    configure(MAPPED)
    person(Role.ADMINISTRATOR, "ada")
    provider.claims["groups"] = ["media"]
    answer = go(browser())
    assert answer.status_code == 403
    assert b"There is an account" in answer.content


def with_password(person: Callable[..., User], name: str) -> User:
    user = person(Role.OPERATOR, name)
    user.set_password("correct horse battery")
    user.save()
    return user


def signed_in(name: str) -> Client:
    client = browser()
    client.post("/login/", {"username": name, "password": "correct horse battery"}, secure=True)
    return client


def test_an_account_is_linked_by_its_owner_and_opens_by_the_provider_from_then_on(
    provider: Provider, configure: Callable[[str], None], person: Callable[..., User]
) -> None:
    configure("")
    with_password(person, "bob")
    go(signed_in("bob"), "for=link")
    client = browser()
    assert go(client).status_code == 302
    assert client.get("/account/", secure=True).status_code == 200
    assert User.objects.get(username="bob").roles == Role.OPERATOR, "a linked account keeps the roles that it has here"
    with_password(person, "eve")
    go(signed_in("eve"), "for=link")
    assert User.objects.get(username="eve").vouched_as is None, "an identity is linked once"
    assert provider.asked
    bob = signed_in("bob")
    bob.post("/account/link/remove/", secure=True)
    assert go(browser()).status_code == 403


def test_nobody_links_an_identity_by_a_one_time_password(
    provider: Provider, configure: Callable[[str], None], person: Callable[..., User]
) -> None:
    assert provider
    configure("")
    bob = with_password(person, "bob")
    User.objects.filter(pk=bob.pk).update(password_is_passing=True)
    client = signed_in("bob")
    assert client.get("/login/provider/?for=link", secure=True)["location"] == "/account/"
    User.objects.filter(pk=bob.pk).update(password_is_passing=False)
    go(client, "for=link", change=lambda address: passing(bob) or address)
    assert User.objects.get(pk=bob.pk).vouched_as is None, "nor when it became one on the way"


def passing(user: User) -> None:
    User.objects.filter(pk=user.pk).update(password_is_passing=True)


def test_an_administrator_removes_the_link_of_another_whose_sessions_end(
    provider: Provider, configure: Callable[[str], None], person: Callable[..., User], browser: Callable[..., Client]
) -> None:
    assert provider
    configure("")
    bob = with_password(person, "bob")
    client = signed_in("bob")
    go(client, "for=link")
    address = f"/users/{bob.pk}/link/remove/"
    root = browser(person(Role.ADMINISTRATOR, "root"), csrf=False)
    assert address in root.get(f"/users/{bob.pk}/", secure=True).content.decode()
    root.post(address, secure=True)
    assert User.objects.get(pk=bob.pk).vouched_as is None
    assert client.get("/account/", secure=True)["location"].startswith("/login/")
    assert address not in root.get(f"/users/{bob.pk}/", secure=True).content.decode()
    assert AuditEntry.objects.filter(what="account.unlink", who="root", title="bob").exists()
    assert isinstance(vouched.unlink(Actor("eve", Role.OPERATOR, 99), "bob"), Refused)


def test_a_deactivated_account_stays_closed(
    provider: Provider, configure: Callable[[str], None], person: Callable[..., User]
) -> None:
    assert provider
    configure("")
    with_password(person, "bob")
    go(signed_in("bob"), "for=link")
    User.objects.update(is_active=False)
    client = browser()
    assert go(client).status_code == 403
    assert client.get("/", secure=True).status_code == 302


@pytest.mark.parametrize(
    "forged",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "somebody-else"},
        {"iss": "https://elsewhere.example.com"},
        {"exp": 1_000_000_000},
        {"azp": "somebody-else"},
        {"sub": None},
        {"sub": ""},
    ],
    ids=str,
)
def test_an_answer_that_does_not_fit_opens_nothing(
    forged: dict[str, Any], provider: Provider, configure: Callable[[str], None]
) -> None:
    configure(MAPPED)
    provider.claims["groups"] = ["admins"]
    provider.forged = forged
    assert go(browser()).status_code == 502
    assert not User.objects.exists()


def test_a_token_that_another_key_signed_opens_nothing(provider: Provider, configure: Callable[[str], None]) -> None:
    configure(MAPPED)
    provider.claims["groups"] = ["admins"]
    provider.foreign_key = True
    assert go(browser()).status_code == 502
    provider.foreign_key, provider.refuses = False, True
    assert go(browser()).status_code == 502
    assert not User.objects.exists()


def test_an_answer_counts_once_and_only_in_the_session_that_began(
    provider: Provider, configure: Callable[[str], None]
) -> None:
    configure(MAPPED)
    provider.claims["groups"] = ["admins"]
    victim, kept = browser(), []
    go(browser(), change=lambda address: kept.append(address) or "/healthz")
    assert victim.get(kept[0], secure=True).status_code == 502
    other = browser()
    assert go(other, change=lambda address: address.replace("state=", "state=x")).status_code == 502
    once = browser()
    assert go(once, change=lambda address: kept.append(address) or address).status_code == 302
    assert once.get(kept[1], secure=True).status_code == 502


def test_a_provider_that_is_down_says_so(provider: Provider, configure: Callable[[str], None]) -> None:
    configure("")
    home = home_directory() / "dispatcher.toml"
    home.write_text(home.read_text().replace(str(provider.port), "1"))
    answer = browser().get("/login/provider/", secure=True)
    assert answer.status_code == 502
    assert b"does not answer" in answer.content


def test_a_mapped_person_with_a_second_factor_is_asked_for_its_code(
    provider: Provider, configure: Callable[[str], None]
) -> None:
    from central_dispatch.portal.accounts import second_factor  # noqa: PLC0415 only here
    from dispatchers.codes import code_of  # noqa: PLC0415 only here

    configure(MAPPED)
    provider.claims["groups"] = ["admins"]
    go(browser())
    user = User.objects.get(username="ada")
    secret = second_factor.set_up(user, timezone.now())
    assert isinstance(secret, second_factor.SetUp)
    code, now = code_of(secret.secret)
    assert isinstance(second_factor.confirm(user.actor("page", ""), user, code, now), list)
    client = browser()
    assert go(client)["location"] == "/login/code/"
    assert client.get("/", secure=True).status_code == 302
