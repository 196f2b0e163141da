"""Tokens of programs: made once, kept as hashes, for some acts, never mightier than their owner is now."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.permissions import acts_of, may
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


def create_token(by: Actor, user: User, name: str, scope: Collection[str], days: int) -> NewToken | Refused:
    """Make a token for `user`, by the user or an administrator.

    `scope` names the acts that it is for, or patterns of them: `fleet.view`, `job.*`, `*`. Each must cover something
    that the user may do; what it covers beyond that stays closed.
    """
    own = by.user_id == user.pk and by.scope is None
    if not may(by, "account.own" if own else "token.others"):
        return forbidden("tokens of others are made by administrators")
    problems = []
    if not name.strip() or len(name) > 100:  # noqa: PLR2004 the column
        problems.append(Problem("is needed, with at most 100 characters", field="name"))
    problems += _scope_problems(user, scope)
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
            scope=sorted(set(scope)),
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        after = {"name": token.name, "scope": token.scope, "days": days}
        audit.record(by, "token.create", f"token:{token.pk}", title=user.username, after=after)
    return NewToken(token, text)


def revoke_token(by: Actor, token_id: int) -> ApiToken | Refused:
    """End a token, one's own or, for an administrator, anybody's."""
    with transaction.atomic():
        token = ApiToken.objects.select_for_update().select_related("user").filter(pk=token_id).first()
        own = token is not None and token.user_id == by.user_id and by.scope is None
        if token is None or not may(by, "account.own" if own else "token.others"):
            return absent("token")
        if token.revoked_at is None:
            token.revoked_at = timezone.now()
            token.save(update_fields=["revoked_at"])
            audit.record(by, "token.revoke", f"token:{token.pk}", title=f"{token.user.username}: {token.name}")
    return token


def actor_by_token(text: str, address: str) -> Actor | None:
    """Return who calls with this token: its owner, as far as the token's scope goes."""
    token = ApiToken.objects.select_related("user").filter(token_hash=digest(text)).first()
    now = timezone.now()
    if token is None or not token.is_valid(now):
        return None
    if token.last_used_at is None or now - token.last_used_at > _USE_NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token.user.actor("api", address, tuple(token.scope))


def _scope_problems(user: User, scope: Collection[str]) -> list[Problem]:
    if not scope:
        return [
            Problem("is needed", mend="Name acts such as fleet.view, or patterns such as job.* or *.", field="scope")
        ]
    acts = acts_of(user.roles)
    return [
        Problem(f"“{pattern}” is nothing that {user.username} may do", mend="See the table of acts.", field="scope")
        for pattern in sorted(set(scope))
        if not any(fnmatchcase(act, pattern) for act in acts)
    ]
