"""Databases of the release before come along: each account keeps what it could do, each token too."""

from pathlib import Path

from django.core.management import call_command
from django.db import connection

from central_dispatch.fleet.actor import Role
from central_dispatch.fleet.permissions import may
from central_dispatch.portal.accounts.models import ApiToken, User
from dispatchers.fixtures import on_sqlite

pytestmark = on_sqlite

_USER = (
    "INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name, email, is_staff, is_active,"
    " date_joined, role) VALUES ('x', 0, %s, '', '', '', 0, 1, '2026-01-01', %s)"
)
_TOKEN = (
    "INSERT INTO accounts_apitoken (user_id, name, token_hash, role, created_at, expires_at)"
    " VALUES ((SELECT id FROM accounts_user WHERE username = %s), 'ci', %s, %s, '2026-01-01', '2099-01-01')"
)


def test_a_role_of_the_ladder_becomes_the_same_role_of_the_set(database: Path) -> None:
    assert database
    call_command("migrate", "accounts", "0001", verbosity=0)
    with connection.cursor() as cursor:
        for role in ("viewer", "operator", "administrator"):
            cursor.execute(_USER, [f"old-{role}", role])
            cursor.execute(_TOKEN, [f"old-{role}", f"hash-{role}", role])
    call_command("migrate", "accounts", verbosity=0)
    held = {user.username: user.roles for user in User.objects.all()}
    assert held == {"old-viewer": Role.VIEWER, "old-operator": Role.OPERATOR, "old-administrator": Role.ADMINISTRATOR}
    acts = ("fleet.view", "instance.deploy", "job.retry", "worker.revoke")
    may_do = {
        token.token_hash: [may(token.user.actor("api", "", tuple(token.scope)), act) for act in acts]
        for token in ApiToken.objects.select_related("user")
    }
    assert may_do == {
        "hash-viewer": [True, False, False, False],
        "hash-operator": [True, True, True, False],
        "hash-administrator": [True, True, True, True],
    }


def test_a_program_of_the_release_before_can_still_add_an_account_which_may_nothing_until_it_gets_a_role(
    database: Path,
) -> None:
    assert database
    with connection.cursor() as cursor:
        cursor.execute(_USER, ["late", "administrator"])
    assert User.objects.get(username="late").roles == Role(0)
