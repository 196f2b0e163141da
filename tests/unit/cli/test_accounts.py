import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.db import connection
from django.test import Client
from django.utils import timezone

from central_dispatch import cli
from central_dispatch.cli import exit_codes, main
from central_dispatch.cli.user import ROLES
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.home import dispatcher_directory, write_private
from central_dispatch.fleet.permissions import may
from central_dispatch.portal.accounts.models import ApiToken, SecondFactor, User
from central_dispatch.portal.accounts.tokens import actor_by_token
from central_dispatch.portal.audit.models import AuditEntry


def call(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, [*arguments], input=stdin)


def answered(*arguments: str, stdin: str = "") -> Any:
    done = call(*arguments, "--json", stdin=stdin)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def _dispatcher(administrator: Actor) -> Iterator[None]:  # noqa: ARG001 it must be there
    """A dispatcher to talk to; tests after these find none again, since that is looked at once per process."""
    write_private(dispatcher_directory() / "secret-key", b"k")
    yield
    sys.modules.pop("central_dispatch.cli.dispatcher", None)
    vars(cli).pop("dispatcher", None)


def test_a_person_who_is_added_logs_in_with_the_password_that_is_shown_once() -> None:
    made = answered("user", "add", "ada", "--role", "operator")
    user = User.objects.get(username="ada")
    assert user.roles is Role.OPERATOR
    assert user.check_password(made["password"])
    assert made["password"] not in call("user", "list").output
    assert AuditEntry.objects.filter(what="account.create", via="cli", title="ada").exists()


def test_a_password_is_taken_from_standard_input_and_not_shown() -> None:
    done = call("user", "add", "ada", "--password-stdin", stdin="correct horse battery\n")
    assert done.exit_code == 0, done.output
    assert "correct horse" not in done.output
    assert User.objects.get(username="ada").check_password("correct horse battery")
    call("user", "password", "ada", "--password-stdin", stdin="another correct horse\r\n")
    assert User.objects.get(username="ada").check_password("another correct horse")


@pytest.mark.parametrize("given", ["", "\n", "short\n", "password1234\n", "x" * 5000])
def test_a_password_that_is_no_good_is_refused_by_its_field_and_changes_nothing(given: str) -> None:
    done = call("user", "add", "ada", "--password-stdin", stdin=given)
    assert done.exit_code == exit_codes.FAILED
    assert done.stderr.startswith("password: ")
    assert not User.objects.filter(username="ada").exists()


def test_no_command_takes_a_secret_as_an_argument() -> None:
    assert call("user", "add", "ada", "--password", "correct horse battery").exit_code == exit_codes.USAGE


def test_a_role_is_changed_and_the_last_administrator_stays() -> None:
    answered("user", "add", "ada")
    assert answered("user", "role", "ada", "operator", "worker_manager")["roles"] == ["operator", "worker_manager"]
    for arguments in (("role", "administrator", "viewer"), ("remove", "administrator", "--yes")):
        done = call("user", *arguments)
        assert done.exit_code == exit_codes.FAILED
        assert "last administrator" in done.stderr
    assert call("user", "role", "eve", "viewer").exit_code == exit_codes.NOT_FOUND


def test_a_person_is_removed_with_their_tokens_after_a_question() -> None:
    answered("user", "add", "ada")
    token = answered("token", "create", "ci", "--user", "ada")["token"]
    assert call("user", "remove", "ada", stdin="n\n").exit_code == exit_codes.FAILED
    assert actor_by_token(token, "192.0.2.1")
    assert call("user", "remove", "ada", stdin="y\n").exit_code == 0
    assert actor_by_token(token, "192.0.2.1") is None
    assert not User.objects.filter(username="ada").exists()
    assert AuditEntry.objects.filter(what="account.remove", title="ada").exists()


def test_a_token_opens_what_it_is_for_until_it_is_revoked() -> None:
    answered("user", "add", "ada", "--role", "operator")
    made = answered("token", "create", "ci", "--user", "ada", "--for", "job.*", "--days", "7")
    actor = actor_by_token(made["token"], "192.0.2.1")
    assert actor
    assert (actor.name, actor.roles) == ("ada", Role.OPERATOR)
    assert (may(actor, "job.retry"), may(actor, "fleet.view")) == (True, False)
    (listed,) = answered("token", "list", "--user", "ada")
    assert "token" not in listed
    assert listed["state"] == "valid"
    assert answered("token", "revoke", str(made["id"]))["state"] == "revoked"
    assert actor_by_token(made["token"], "192.0.2.1") is None
    assert call("token", "revoke", "999999").exit_code == exit_codes.NOT_FOUND


def test_a_token_is_never_mightier_than_its_owner() -> None:
    answered("user", "add", "ada")
    refused = call("token", "create", "ci", "--user", "ada", "--for", "account.create")
    assert refused.exit_code == exit_codes.FAILED
    assert "nothing that ada may do" in refused.stderr
    assert call("token", "create", "ci", "--user", "nobody").exit_code == exit_codes.NOT_FOUND
    assert not ApiToken.objects.exists()


def test_a_person_is_kept_out_and_let_in_again() -> None:
    answered("user", "add", "ada")
    token = answered("token", "create", "ci", "--user", "ada")["token"]
    assert answered("user", "deactivate", "ada")["active"] is False
    assert actor_by_token(token, "192.0.2.1") is None
    assert answered("user", "activate", "ada")["active"] is True
    assert actor_by_token(token, "192.0.2.1") is not None


def test_a_second_factor_is_reset_and_sessions_are_ended_from_the_command_line() -> None:
    answered("user", "add", "ada")
    ada = User.objects.get(username="ada")
    SecondFactor.objects.create(user=ada, sealed_secret="x", confirmed_at=timezone.now())
    for command, expected in (("reset-second-factor", {}), ("sign-out", {"ended": 1})):
        browser = Client(headers={"host": "localhost"})
        browser.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
        assert answered("user", command, "ada").items() >= expected.items()
        assert browser.get("/", secure=True).status_code == 302
    assert not SecondFactor.objects.exists()
    assert call("user", "reset-second-factor", "nobody").exit_code == exit_codes.NOT_FOUND


def test_the_command_line_names_every_role() -> None:
    assert {role.word for role in Role} == set(ROLES)


def test_the_audit_trail_is_verified_and_what_was_changed_is_named() -> None:
    answered("user", "add", "ada")
    answered("user", "add", "bob")
    whole = answered("audit", "verify")
    assert whole["entries"] == 2
    assert answered("audit", "verify", "--head", whole["head"]) == whole
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_auditentry SET who = 'eve' WHERE title = 'bob'")
    broken = call("audit", "verify")
    assert broken.exit_code == exit_codes.FAILED
    assert f"entry {AuditEntry.objects.get(title='bob').pk}" in broken.stderr
