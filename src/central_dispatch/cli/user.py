"""`user`: who may log in to the portal."""

from typing import TYPE_CHECKING, Any

import click

from central_dispatch.cli import passwords, screen

if TYPE_CHECKING:
    from central_dispatch.portal.accounts.models import User
    from central_dispatch.portal.accounts.people import NewPassword

#: The names of `fleet.actor.Role`, spelled out so that `--help` needs no Django.
ROLES = (
    "administrator",
    "operator",
    "instance_upgrades",
    "instance_cache",
    "library_manager",
    "worker_manager",
    "viewer",
)
_ROLES = click.Choice(ROLES)
_FROM_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of generating one."
)


@click.group()
def user() -> None:
    """People who may log in, with one role or several."""


@user.command("list")
@screen.command
def list_users() -> None:
    """List the accounts."""
    from central_dispatch.cli import dispatcher  # noqa: F401 makes Django ready
    from central_dispatch.portal.accounts.models import User

    columns = {"username": "Name", "roles": "Roles", "active": "Active", "last_login": "Last login", "tokens": "Tokens"}
    screen.rows([to_json(one) for one in User.objects.order_by("username")], columns, "There is no account.")


@user.command("add")
@screen.command
@click.argument("username")
@click.option(
    "--role", "roles", type=_ROLES, multiple=True, default=("viewer",), show_default=True, help="May be given again."
)
@_FROM_STDIN
def add_user(username: str, roles: tuple[str, ...], *, password_stdin: bool) -> None:
    """Add a person. The password is generated and shown once."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.actor import Role
    from central_dispatch.portal.accounts import people

    password = passwords.given(from_stdin=password_stdin)
    answer = people.add_person(dispatcher.actor(), username, Role.named(roles), password)
    _show(dispatcher.granted(answer), generated=password is None)


@user.command("password")
@screen.command
@click.argument("username")
@_FROM_STDIN
def new_password(username: str, *, password_stdin: bool) -> None:
    """Give a person a new password, generated and shown once. Their sessions end."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.portal.accounts import people

    password = passwords.given(from_stdin=password_stdin)
    answer = people.new_password(dispatcher.actor(), username, password)
    _show(dispatcher.granted(answer), generated=password is None)


@user.command("role")
@screen.command
@click.argument("username")
@click.argument("roles", type=_ROLES, nargs=-1, required=True)
def set_roles(username: str, roles: tuple[str, ...]) -> None:
    """Give a person these roles and no others; their sessions end. There is always an administrator."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.actor import Role
    from central_dispatch.portal.accounts import people

    changed = dispatcher.granted(people.change_rights(dispatcher.actor(), username, Role.named(roles)))
    screen.say(to_json(changed), f"{changed.username} is {changed.roles.title} now.")


@user.command("deactivate")
@screen.command
@click.argument("username")
def deactivate(username: str) -> None:
    """Keep a person out: their sessions end, their tokens open nothing, until `user activate`."""
    _set_active(username, active=False)


@user.command("activate")
@screen.command
@click.argument("username")
def activate(username: str) -> None:
    """Let a person log in again."""
    _set_active(username, active=True)


def _set_active(username: str, *, active: bool) -> None:
    from central_dispatch.cli import dispatcher
    from central_dispatch.portal.accounts import people

    changed = dispatcher.granted(people.set_active(dispatcher.actor(), username, active=active))
    screen.say(to_json(changed), f"{changed.username} {'may log in' if active else 'is kept out'} now.")


@user.command("reset-second-factor")
@screen.command
@click.argument("username")
def reset_second_factor(username: str) -> None:
    """Take a person's second factor away, for a lost telephone; their sessions end."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.portal.accounts import second_factor

    changed = dispatcher.granted(second_factor.remove(dispatcher.actor(), username))
    screen.say(to_json(changed), f"{changed.username} logs in with the password alone now.")


@user.command("sign-out")
@screen.command
@click.argument("username")
def sign_out(username: str) -> None:
    """End all sessions of a person."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.portal.accounts import sessions

    ended = dispatcher.granted(sessions.end(dispatcher.actor(), dispatcher.find_user(username)))
    screen.say({"username": username, "ended": ended}, f"{ended} sessions of {username} have ended.")


@user.command("remove")
@screen.command
@click.argument("username")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_user(username: str, *, yes: bool) -> None:
    """Remove a person. Their sessions and tokens end; the audit trail keeps the name."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.portal.accounts import people

    if not yes:
        click.confirm(f"Remove {username} and their tokens for good?", abort=True, err=True)
    removed = dispatcher.granted(people.remove_person(dispatcher.actor(), username))
    screen.say({"username": removed.username, "removed": True}, f"{removed.username} is removed.")


def _show(made: "NewPassword", *, generated: bool) -> None:
    value = to_json(made.user)
    if not generated:
        screen.say(value, f"{made.user.username} ({made.user.roles.title}) has the password that was given.")
        return
    sentence = f"{made.user.username} ({made.user.roles.title}), password: {made.password}   (shown only now)"
    screen.say({**value, "password": made.password}, sentence)


def to_json(one: "User") -> dict[str, Any]:
    """Return an account as `--json` prints it."""
    from django.utils import timezone

    now = timezone.now()
    return {
        "username": one.username,
        "roles": list(one.roles.words),
        "active": one.is_active,
        "last_login": one.last_login.isoformat(timespec="seconds") if one.last_login else None,
        "tokens": sum(token.is_valid(now) for token in one.api_tokens.all()),
    }
