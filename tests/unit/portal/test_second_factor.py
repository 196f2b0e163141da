from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from central_dispatch.fleet import settings
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.home import secret_key_path
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.accounts import second_factor
from central_dispatch.portal.accounts.models import RecoveryCode, SecondFactor, User
from central_dispatch.portal.accounts.people import change_own_password, new_password
from central_dispatch.portal.accounts.second_factor import SET_UP_WITHIN, SetUp, confirm, remove, set_up, verify
from central_dispatch.portal.audit.models import AuditEntry
from dispatchers.codes import code_of

PASSWORD = "correct horse battery"


@pytest.fixture
def ada(person: Callable[..., User]) -> User:
    user = person(Role.OPERATOR, "ada")
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def secret(ada: User) -> str:
    """ada's, in use."""
    shown = set_up(ada, timezone.now())
    assert isinstance(shown, SetUp)
    assert isinstance(confirm(ada.actor("page", ""), ada, *code_of(shown.secret)), list)
    return shown.secret


def browser() -> Client:
    return Client(headers={"host": "localhost"})


def password(client: Client, user: str = "ada") -> str:
    return client.post("/login/", {"username": user, "password": PASSWORD, "next": "/runs/"}, secure=True)["location"]


def inside(client: Client) -> bool:
    return client.get("/instances/", secure=True).status_code == 200


def test_a_right_password_opens_nothing_without_the_code(ada: User, secret: str) -> None:
    client = browser()
    assert password(client) == "/login/code/"
    assert not inside(client)
    assert client.post("/login/code/", {"code": "000000"}, secure=True).status_code == 422
    assert not inside(client)
    SecondFactor.objects.update(failed_at=None)
    code, _ = code_of(secret, timedelta(seconds=30))
    answer = client.post("/login/code/", {"code": f"{code[:3]} {code[3:]}"}, secure=True)
    assert (answer.status_code, answer["location"]) == (302, "/runs/")
    assert inside(client)
    assert ada.pk


def test_a_code_counts_once(ada: User, secret: str) -> None:
    code, now = code_of(secret, timedelta(minutes=2))
    assert verify(ada, code, now)
    assert not verify(ada, code, now + timedelta(seconds=2))
    earlier, _ = code_of(secret, timedelta(minutes=1, seconds=30))
    assert not verify(ada, earlier, now + timedelta(seconds=4))


def test_a_recovery_code_counts_once_and_is_kept_as_a_hash(ada: User, secret: str) -> None:
    assert secret
    codes = second_factor.new_recovery_codes(ada.actor("page", ""), ada)
    assert isinstance(codes, list)
    assert len(set(codes)) == 10
    _, now = code_of(secret)
    assert all(one.replace("-", "") not in str(list(RecoveryCode.objects.values())) for one in codes)
    assert verify(ada, codes[3].lower(), now)
    assert not verify(ada, codes[3], now + timedelta(minutes=1))
    assert verify(ada, codes[4], now + timedelta(minutes=2))


def test_wrong_codes_close_the_factor_for_longer_and_longer_wherever_they_come_from(ada: User, secret: str) -> None:
    _, now = code_of(secret)
    for number in range(6):
        now += timedelta(seconds=2**number)
        assert not verify(ada, "000000", now)
    code, _ = code_of(secret, timedelta(seconds=90))
    assert not verify(ada, code, now + timedelta(seconds=20)), "right, but too soon"
    right, later = code_of(secret, timedelta(minutes=20))
    assert verify(ada, right, later)


def test_five_wrong_codes_close_the_sign_in_as_wrong_passwords_do(ada: User, secret: str) -> None:
    assert ada
    assert secret
    client = browser()
    password(client)
    for _ in range(5):
        client.post("/login/code/", {"code": "000000"}, secure=True)
    assert client.post("/login/code/", {"code": "000000"}, secure=True).status_code == 429
    assert client.post("/login/", {"username": "ada", "password": PASSWORD}, secure=True).status_code == 429


def test_the_secret_is_kept_sealed_and_shown_until_it_is_confirmed_and_never_again(ada: User) -> None:
    shown = set_up(ada, timezone.now())
    assert isinstance(shown, SetUp)
    assert set_up(ada, timezone.now()) == shown
    assert shown.secret not in repr(shown)
    assert shown.secret not in str(list(SecondFactor.objects.values()))
    assert isinstance(confirm(ada.actor("page", ""), ada, "000000", code_of(shown.secret)[1]), Refused)
    assert not second_factor.has_second_factor(ada)
    confirm(ada.actor("page", ""), ada, *code_of(shown.secret))
    assert isinstance(set_up(ada, timezone.now()), Refused)
    assert all(shown.secret not in str(entry.__dict__) for entry in AuditEntry.objects.all())


def test_with_another_secret_key_no_code_is_right(ada: User, secret: str) -> None:
    kept = secret_key_path().read_bytes()
    try:
        secret_key_path().write_bytes(b"another key, as after a loss")
        assert not verify(ada, *code_of(secret, timedelta(minutes=1)))
    finally:
        secret_key_path().write_bytes(kept)


def test_roles_may_want_one_and_nothing_else_is_open_before_it(ada: User, administrator: Actor) -> None:
    client = browser()
    password(client)
    assert inside(client)
    settings.change(administrator, settings.LoginRules, {"second_factor_roles": ["operator"]})
    for address in ("/", "/instances/", "/instances/new/"):
        assert client.get(address, secure=True)["location"] == "/account/second-factor/"
    assert client.get("/api/v1/instances", secure=True).status_code == 403
    page = client.get("/account/second-factor/", secure=True)
    assert page.status_code == 200
    shown = set_up(ada, timezone.now())
    assert isinstance(shown, SetUp)
    answer = client.post("/account/second-factor/", {"code": code_of(shown.secret)[0]}, secure=True)
    assert b"Recovery codes" in answer.content
    assert inside(client)
    assert isinstance(remove(ada.actor("page", ""), "ada"), Refused), "a role wants it"


def test_another_administrator_resets_it_and_its_owners_sessions_end(
    ada: User, secret: str, administrator: Actor
) -> None:
    client = browser()
    password(client)
    client.post("/login/code/", {"code": code_of(secret, timedelta(seconds=30))[0]}, secure=True)
    assert inside(client)
    assert isinstance(remove(Actor("x", Role.OPERATOR, 99), "ada"), Refused)
    assert isinstance(remove(administrator, "ada"), User)
    assert not inside(client)
    assert password(client) == "/runs/"
    assert ada.pk
    assert AuditEntry.objects.filter(what="account.second_factor_reset", title="ada", who="administrator").exists()


def test_dangerous_acts_ask_anew_who_it_is(ada: User, secret: str) -> None:
    client = browser()
    password(client)
    client.post("/login/code/", {"code": code_of(secret, timedelta(seconds=30))[0]}, secure=True)
    session = client.session
    session["confirmed"] -= 1000
    session.save()
    answer = client.post("/account/recovery-codes/", secure=True, headers={"referer": "https://localhost/account/"})
    assert answer["location"] == "/account/confirm/?next=%2Faccount%2F"
    assert RecoveryCode.objects.filter(user=ada).count() == 10
    wrong = client.post("/account/confirm/", {"secret": "wrong", "next": "/account/"}, secure=True)
    assert wrong.status_code == 422
    right = client.post("/account/confirm/", {"secret": PASSWORD, "next": "//evil.example.com/"}, secure=True)
    assert right["location"] == "/"
    assert b"Recovery codes" in client.post("/account/recovery-codes/", secure=True).content


def test_one_ends_ones_own_sessions_and_nobody_elses(ada: User, person: Callable[..., User]) -> None:
    here, there, eve = browser(), browser(), browser()
    eve.force_login(person(Role.VIEWER, "eve"), backend="django.contrib.auth.backends.ModelBackend")
    for client in (here, there):
        password(client)
    (other,) = [one for one in _listed(here, ada) if not one.is_this]
    eve.post(f"/account/sessions/{other.id}/end/", secure=True)
    assert inside(there)
    here.post(f"/account/sessions/{other.id}/end/", secure=True)
    assert not inside(there)
    assert inside(here)


def _listed(client: Client, user: User) -> list[object]:
    from central_dispatch.portal.accounts import sessions  # noqa: PLC0415 only here

    return list(sessions.of(user, client.session.session_key))


def test_a_secret_that_is_not_confirmed_in_time_is_replaced_and_its_codes_are_not_right(ada: User) -> None:
    now = timezone.now()
    shown = set_up(ada, now)
    assert isinstance(shown, SetUp)
    assert set_up(ada, now + SET_UP_WITHIN) == shown
    code, later = code_of(shown.secret, SET_UP_WITHIN + timedelta(seconds=1))
    assert isinstance(confirm(ada.actor("page", ""), ada, code, later), Refused)
    fresh = set_up(ada, later)
    assert isinstance(fresh, SetUp)
    assert fresh.secret != shown.secret
    assert isinstance(confirm(ada.actor("page", ""), ada, *code_of(fresh.secret, SET_UP_WITHIN)), list)


def test_a_secret_that_somebody_saw_before_the_password_changed_is_not_the_one_that_comes_into_use(
    ada: User, administrator: Actor
) -> None:
    seen = set_up(ada, timezone.now())
    assert isinstance(seen, SetUp)
    new_password(administrator, "ada", "another horse battery")
    assert not SecondFactor.objects.exists()
    set_up(ada, timezone.now())
    change_own_password(ada.actor("page", ""), PASSWORD, None)
    assert not SecondFactor.objects.exists()


def test_a_second_factor_in_use_stays_when_the_password_changes(ada: User, secret: str, administrator: Actor) -> None:
    assert secret
    new_password(administrator, "ada", "another horse battery")
    assert second_factor.has_second_factor(ada)


def test_no_secret_is_shown_to_whoever_has_a_one_time_password(ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(password_is_passing=True)
    client = browser()
    password(client)
    for answer in (
        client.get("/account/second-factor/", secure=True),
        client.post("/account/second-factor/", {"code": "000000"}, secure=True),
    ):
        assert (answer.status_code, answer["location"]) == (302, "/account/")
    assert not SecondFactor.objects.exists()


def test_the_old_password_cannot_be_guessed_where_it_is_changed(ada: User) -> None:
    client = browser()
    password(client)
    new = {"new_password1": "only ada knows it", "new_password2": "only ada knows it"}
    for _ in range(5):
        client.post("/account/", {"old_password": "wrong", **new}, secure=True)
    assert client.post("/account/", {"old_password": PASSWORD, **new}, secure=True).status_code == 429
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)
    assert client.get("/account/", secure=True).status_code == 200, "the session stays"


def test_a_change_of_the_password_is_whole_or_not_at_all(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = browser(), browser()
    here.raise_request_exception = False
    for client in (here, there):
        password(client)
    new = {"old_password": PASSWORD, "new_password1": "only ada knows it", "new_password2": "only ada knows it"}
    with monkeypatch.context() as broken:
        broken.setattr("central_dispatch.portal.audit.trail.link", lambda *_: 1 / 0)
        assert here.post("/account/", new, secure=True).status_code == 500
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)
    assert inside(there)
    assert here.post("/account/", new, secure=True).status_code == 302
    assert inside(here)
    assert not inside(there)
    assert AuditEntry.objects.filter(what="account.password", who="ada").count() == 1
