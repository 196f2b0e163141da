"""`token`: by which programs use the API."""

from typing import TYPE_CHECKING, Any

import click

from central_dispatch.cli import screen

if TYPE_CHECKING:
    from central_dispatch.portal.accounts.models import ApiToken


@click.group()
def token() -> None:
    """Tokens of programs that use the API. One acts for a person, with that person's rights or fewer."""


@token.command("list")
@screen.command
@click.option("--user", "username", default="", help="Only this person's.")
def list_tokens(username: str) -> None:
    """List the tokens; their texts are kept nowhere."""
    from central_dispatch.cli import dispatcher  # noqa: F401 makes Django ready
    from central_dispatch.portal.accounts.models import ApiToken

    found = ApiToken.objects.select_related("user")
    if username:
        found = found.filter(user__username=username)
    columns = {"id": "Id", "user": "User", "name": "Name", "scope": "For", "state": "State", "expires_at": "Until"}
    screen.rows([to_json(one) for one in found], columns | {"last_used_at": "Last used"}, "There is no token.")


@token.command("create")
@screen.command
@click.argument("name")
@click.option("--user", "username", required=True, help="Whom the program acts for.")
@click.option(
    "--for",
    "scope",
    multiple=True,
    default=("*.view",),
    show_default=True,
    help="What it is for, of the person's own rights: an act such as job.retry, or a pattern such as job.* or *.",
)
@click.option("--days", type=click.IntRange(1, 366), default=90, show_default=True, help="How long it is good for.")
def create(name: str, username: str, scope: tuple[str, ...], days: int) -> None:
    """Make a token, called NAME in lists. Its text is shown once."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.portal.accounts import tokens

    owner = dispatcher.find_user(username)
    made = dispatcher.granted(tokens.create_token(dispatcher.actor(), owner, name, scope, days))
    value = to_json(made.token)
    sentence = (
        f"Token {made.token.pk} ({made.token.name}) of {username}, for {', '.join(scope)}, "
        f"until {value['expires_at']}, shown only now:\n\n  {made.text}\n\n"
        f"A program sends it as: Authorization: Bearer TOKEN"
    )
    screen.say({**value, "token": made.text}, sentence)


@token.command("revoke")
@screen.command
@click.argument("token_id", metavar="ID", type=int)
def revoke(token_id: int) -> None:
    """End a token now."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.portal.accounts import tokens

    ended = dispatcher.granted(tokens.revoke_token(dispatcher.actor(), token_id))
    screen.say(to_json(ended), f"Token {ended.pk} ({ended.name}) of {ended.user.username} is revoked.")


def to_json(one: "ApiToken") -> dict[str, Any]:
    """Return a token as `--json` prints it, without its text."""
    from django.utils import timezone

    state = "revoked" if one.revoked_at else "valid" if one.is_valid(timezone.now()) else "expired"
    return {
        "id": one.pk,
        "user": one.user.username,
        "name": one.name,
        "scope": one.scope,
        "state": state,
        "created_at": one.created_at.isoformat(timespec="seconds"),
        "expires_at": one.expires_at.isoformat(timespec="seconds"),
        "last_used_at": one.last_used_at.isoformat(timespec="seconds") if one.last_used_at else None,
    }
