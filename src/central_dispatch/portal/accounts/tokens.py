"""Tokens of programs: made once, kept as hashes, never mightier than their owner is now."""

from dataclasses import dataclass, field
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.refusal import Refused, absent, forbidden
from central_dispatch.fleet.secret_text import digest, new_secret
from central_dispatch.portal.accounts.models import ApiToken, User
from central_dispatch.provisioning.problem import Problem

#: Marks the text as ours, so that a scanner for leaked secrets finds it.
PREFIX = "cda_"
LONGEST_DAYS = 366
# The time of the last use is for people; writing it at each call would make every read a write.
_USE_NOTED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token and its text, which is shown once."""

    token: ApiToken
    text: str = field(repr=False)


def create_token(by: Actor, user: User, name: str, role: Role, days: int) -> NewToken | Refused:
    """Make a token for `user`, by the user or an administrator; at most with the user's own role."""
    if by.user_id != user.pk and by.role is not Role.ADMINISTRATOR:
        return forbidden("tokens of others are made by administrators")
    problems = []
    if not name.strip() or len(name) > 100:  # noqa: PLR2004 the column
        problems.append(Problem("is needed, with at most 100 characters", field="name"))
    if not user.as_role().includes(role):
        problems.append(Problem(f"may be at most {user.role}, as its owner is", field="role"))
    if not 1 <= days <= LONGEST_DAYS:
        problems.append(Problem(f"may be 1 to {LONGEST_DAYS} days", field="days"))
    if problems:
        return Refused("invalid", tuple(problems))
    text, now = PREFIX + new_secret(), timezone.now()
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user,
            name=name.strip(),
            token_hash=digest(text),
            role=role.value,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        after = {"name": token.name, "role": token.role, "days": days}
        audit.record(by, "token.create", f"token:{token.pk}", title=user.username, after=after)
    return NewToken(token, text)


def revoke_token(by: Actor, token_id: int) -> ApiToken | Refused:
    """End a token, one's own or, for an administrator, anybody's."""
    with transaction.atomic():
        token = ApiToken.objects.select_for_update().select_related("user").filter(pk=token_id).first()
        if token is None or (token.user_id != by.user_id and by.role is not Role.ADMINISTRATOR):
            return absent("token")
        if token.revoked_at is None:
            token.revoked_at = timezone.now()
            token.save(update_fields=["revoked_at"])
            audit.record(by, "token.revoke", f"token:{token.pk}", title=f"{token.user.username}: {token.name}")
    return token


def actor_by_token(text: str, address: str) -> Actor | None:
    """Return who calls with this token, with the lesser of the token's and the owner's role."""
    token = ApiToken.objects.select_related("user").filter(token_hash=digest(text)).first()
    now = timezone.now()
    if token is None or not token.is_valid(now):
        return None
    if token.last_used_at is None or now - token.last_used_at > _USE_NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    given, owner = Role(token.role), token.user.as_role()
    role = given if owner.includes(given) else owner
    return Actor(token.user.username, role, token.user_id, "api", address)
