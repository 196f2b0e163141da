"""Accounts of people for whom a provider vouches: linked by their owners, or made by a mapping of roles."""

import hashlib

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction

from central_dispatch.configuration import Oidc
from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import NO_ROLE, Actor, Role
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, absent, conflict, forbidden
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.people import keeps_an_administrator, lock_administrators, rights_of
from central_dispatch.portal.accounts.provider import Identity

_LONGEST_NAME = 150


def account_of(identity: Identity, oidc: Oidc, address: str) -> User | Refused:
    """Return whose account it is; where roles are mapped, made at the first login and brought up to date at each."""
    roles = mapped_roles(identity, oidc)
    with transaction.atomic():
        lock_administrators()
        user = User.objects.select_for_update().filter(vouched_as=_key(identity)).first()
        if user is None:
            return _new_account(identity, oidc, roles, address)
        if not user.is_active:
            return forbidden("the account was deactivated")
        if user.roles_are_vouched:
            if refused := _bring_up_to_date(user, roles, address):
                return refused
            if not roles:
                return forbidden("the provider names no role that gives entry here")
    return user


def mapped_roles(identity: Identity, oidc: Oidc) -> Role:
    """Return the roles that the identity's claim gives."""
    claim = identity.claims.get(oidc.roles_claim)
    values = claim if isinstance(claim, list) else [claim]
    roles = NO_ROLE
    for value in values:
        if isinstance(value, str):
            roles |= Role.named(oidc.roles.get(value, ()))
    return roles


def link(by: Actor, identity: Identity) -> User | Refused:
    """Let the person who is logged in log in by the provider, too."""
    if not may(by, "account.own"):
        return forbidden("this takes a role")
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=by.user_id or 0).first()
        if user is None:
            return absent("account")
        if User.objects.filter(vouched_as=_key(identity)).exclude(pk=user.pk).exists():
            return conflict("Another account is linked to this identity", mend="Remove that link first.")
        user.vouched_as = _key(identity)
        user.save(update_fields=["vouched_as"])
        audit.record(by, "account.link", f"user:{user.username}"[:60], title=user.username, after=_of(identity))
    return user


def is_of(by: Actor, identity: Identity) -> bool:
    """Say whether the identity is that of the person who is logged in."""
    return User.objects.filter(pk=by.user_id or 0, vouched_as=_key(identity)).exists()


def unlink(by: Actor, username: str) -> User | Refused:
    """Take a link away: one's own, or, for an administrator, another's, whose sessions end.

    Who has no password keeps their own: there would be no way in.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(username=username).first()
        if user is None:
            return absent("account")
        own = user.pk == by.user_id
        if not may(by, "account.own" if own else "account.change"):
            return forbidden("links of others are removed by administrators")
        if user.vouched_as is None:
            return absent("link")
        if own and not user.has_usable_password():
            return conflict("There would be no way in", "the account has no password", "Ask an administrator for one.")
        user.vouched_as = None
        user.save(update_fields=["vouched_as"])
        if not own:
            user.login_sessions.all().delete()
        audit.record(by, "account.unlink", f"user:{user.username}"[:60], title=user.username)
        announce("accounts")
    return user


def _new_account(identity: Identity, oidc: Oidc, roles: Role, address: str) -> User | Refused:
    if not roles:
        return forbidden("no account here is linked to you, and the provider names no role that gives entry")
    name = str(identity.claims.get(oidc.username_claim) or "")
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError:
        name = ""
    if not 0 < len(name) <= _LONGEST_NAME:
        return conflict("The provider's name for you cannot be a name here", mend="Ask an administrator.")
    if User.objects.filter(username__iexact=name).exists():
        mend = "If it is yours: sign in with its password, and link it (Your account)."
        return conflict(f"There is an account “{name}” already", "nobody gets into it by a name alone", mend)
    user = User(username=name, vouched_as=_key(identity), roles_are_vouched=True)
    user.roles = roles
    user.set_unusable_password()
    user.save()
    after = {**rights_of(user), **_of(identity)}
    audit.record(user.actor("page", address), "account.create", f"user:{name}"[:60], title=name, after=after)
    announce("accounts")
    return user


def _bring_up_to_date(user: User, roles: Role, address: str) -> Refused | None:
    """Give the roles that the provider names. The last administrator's are kept, and open nothing by the provider."""
    if user.roles == roles:
        return None
    if Role.ADMINISTRATOR not in roles and (refused := keeps_an_administrator(user)):
        return refused
    before = rights_of(user)
    user.roles = roles
    user.save(update_fields=["role_words"])
    user.login_sessions.all().delete()
    actor = user.actor("page", address)
    subject = f"user:{user.username}"[:60]
    audit.record(actor, "account.change", subject, title=user.username, before=before, after=rights_of(user))
    announce("accounts")
    return None


def _key(identity: Identity) -> str:
    return hashlib.sha256(f"{identity.issuer}\n{identity.subject}".encode()).hexdigest()


def _of(identity: Identity) -> dict[str, str]:
    return {"issuer": identity.issuer, "subject": identity.subject}
