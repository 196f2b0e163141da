"""Accounts: make and remove people, give roles, limits or a new password, let in and keep out.

A password is given, or generated and shown once. What takes rights away ends the person's sessions.
"""

import secrets
from dataclasses import dataclass, field

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import NO_LIMITS, Actor, Limits, Role
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.models import Instance, Worker
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, absent, conflict, forbidden
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.second_factor import forget_unconfirmed
from central_dispatch.portal.accounts.sessions import end_others
from central_dispatch.provisioning.problem import Problem

_LONGEST_NAME = 150


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A person and their password. It is in no table; a generated one is shown once."""

    user: User
    password: str = field(repr=False)


def add_person(
    by: Actor, username: str, roles: Role, password: str | None = None, limits: Limits = NO_LIMITS
) -> NewPassword | Refused:
    """Make an account with this password, or with a generated one."""
    if not may(by, "account.create"):
        return forbidden("accounts are made by administrators")
    name = username.strip()
    if problem := _name_problem(name):
        return Refused("invalid", (problem,))
    if problems := _limit_problems(limits):
        return Refused("invalid", problems)
    user = User(username=name)
    user.roles, user.limits = roles, limits
    if password is not None and (problems := _password_problems(password, user)):
        return Refused("invalid", problems)
    # Hashed before the transaction: it takes longer than one may.
    made = _with_password(user, password)
    with transaction.atomic():
        if User.objects.filter(username__iexact=name).exists():
            return conflict(f"“{name}” is taken", mend="Choose another name.", field="username")
        user.save()
        audit.record(by, "account.create", _subject(user), title=name, after=rights_of(user))
        announce("accounts")
    return made


def new_password(by: Actor, username: str, password: str | None = None) -> NewPassword | Refused:
    """Give an account this password, or a generated one; its sessions end."""
    if not may(by, "account.password"):
        return forbidden("passwords of others are made by administrators")
    user = User.objects.filter(username=username).first()
    if user is None:
        return absent("account")
    if password is not None and (problems := _password_problems(password, user)):
        return Refused("invalid", problems)
    made = _with_password(user, password)
    with transaction.atomic():
        _save(user, "password", "password_is_passing")
        forget_unconfirmed(user)
        audit.record(by, "account.password", _subject(user), title=user.username)
    return made


def change_own_password(by: Actor, password: str, session_key: str | None) -> User | Refused:
    """Give oneself this password, after the old one was asked for; one's other sessions end, but for this one."""
    if not may(by, "account.own"):
        return forbidden("this takes a role")
    user = User.objects.filter(pk=by.user_id or 0).first()
    if user is None:
        return absent("account")
    if problems := _password_problems(password, user):
        return Refused("invalid", problems)
    _with_password(user, password)
    with transaction.atomic():
        user.save(update_fields=["password", "password_is_passing"])
        end_others(user, session_key)
        forget_unconfirmed(user)
        audit.record(by, "account.password", _subject(user), title=user.username)
        announce("accounts")
    return user


def change_rights(by: Actor, username: str, roles: Role, limits: Limits | None = None) -> User | Refused:
    """Give an account other roles, and other limits where given; its sessions end. There is always an administrator."""
    if not may(by, "account.change"):
        return forbidden("roles are given by administrators")
    if limits is not None and (problems := _limit_problems(limits)):
        return Refused("invalid", problems)
    with transaction.atomic():
        lock_administrators()
        user = User.objects.select_for_update().filter(username=username).first()
        if user is None:
            return absent("account")
        before = rights_of(user)
        if Role.ADMINISTRATOR not in roles and (refused := keeps_an_administrator(user)):
            return refused
        user.roles = roles
        user.limits = user.limits if limits is None else limits
        after = rights_of(user)
        if after != before:
            _save(user, "role_words", "limits_json")
            audit.record(by, "account.change", _subject(user), title=user.username, before=before, after=after)
    return user


def set_active(by: Actor, username: str, *, active: bool) -> User | Refused:
    """Let a person log in again, or keep them out: then their sessions end at once, and their tokens open nothing."""
    if not may(by, "account.change"):
        return forbidden("accounts are looked after by administrators")
    with transaction.atomic():
        lock_administrators()
        user = User.objects.select_for_update().filter(username=username).first()
        if user is None:
            return absent("account")
        if user.is_active == active:
            return user
        if not active and (refused := keeps_an_administrator(user)):
            return refused
        user.is_active = active
        _save(user, "is_active")
        what = "account.activate" if active else "account.deactivate"
        audit.record(by, what, _subject(user), title=user.username)
    return user


def remove_person(by: Actor, username: str) -> User | Refused:
    """Remove an account: its sessions and tokens end, the audit trail keeps its name."""
    if not may(by, "account.remove"):
        return forbidden("accounts are removed by administrators")
    with transaction.atomic():
        lock_administrators()
        user = User.objects.select_for_update().filter(username=username).first()
        if user is None:
            return absent("account")
        if refused := keeps_an_administrator(user) or _keeps_workers_closed(user):
            return refused
        audit.record(by, "account.remove", _subject(user), title=username, before=rights_of(user))
        user.delete()
        announce("accounts")
    return user


def rights_of(user: User) -> dict[str, list[str]]:
    """Return roles and limits as the audit trail and programs read them; a limit that is not set is left out."""
    return {"roles": list(user.roles.words), **user.limits_json}


def generated_password() -> str:
    """Return a password of 120 random bits."""
    return secrets.token_urlsafe(15)


def _subject(user: User) -> str:
    return f"user:{user.username}"[:60]


def _save(user: User, *fields: str) -> None:
    """Save what changes a person's rights: whoever is logged in as them logs in anew."""
    user.save(update_fields=fields)
    user.login_sessions.all().delete()
    announce("accounts")


def _with_password(user: User, password: str | None) -> NewPassword:
    given = generated_password() if password is None else password
    user.password_is_passing = password is None
    user.set_password(given)
    return NewPassword(user, given)


def _password_problems(password: str, user: User) -> tuple[Problem, ...]:
    try:
        validate_password(password, user)
    except ValidationError as error:
        return tuple(Problem(message.rstrip("."), field="password") for message in error.messages)
    return ()


def _limit_problems(limits: Limits) -> tuple[Problem, ...]:
    problems = []
    for model, field_name in ((Worker, "workers"), (Instance, "instances")):
        wanted = getattr(limits, field_name)
        if wanted and model._default_manager.filter(pk__in=wanted).count() != len(wanted):  # noqa: SLF001 Django's public name
            problems.append(Problem(f"names one of the {field_name} that does not exist", field=field_name))
    return tuple(problems)


def lock_administrators() -> None:
    """Hold all administrators, in one order, before any other account: of two acts that take one away, one waits."""
    list(User.objects.holding(Role.ADMINISTRATOR).select_for_update().order_by("pk").values_list("pk"))


def keeps_an_administrator(user: User) -> Refused | None:
    """Refuse to take the last administrator away: nobody could make another one in the portal.

    The caller holds the administrators (`lock_administrators`).
    """
    holding = User.objects.holding(Role.ADMINISTRATOR)
    if not holding.filter(pk=user.pk).exists() or holding.exclude(pk=user.pk).exists():
        return None
    mend = "Make somebody else an administrator first."
    return conflict(f"{user.username} is the last administrator", mend=mend, field="roles")


def _keeps_workers_closed(user: User) -> Refused | None:
    """Refuse to empty the list of a worker's users: an empty one means that every operator may use it."""
    for worker in user.usable_workers.all():
        if worker.allowed_users.count() == 1:
            why = f"without {user.username}, every operator could use it"
            mend = "Name somebody else in the worker's settings first."
            return conflict(f"The worker {worker.name} is for {user.username} alone", why, mend, field="username")
    return None


def _name_problem(name: str) -> Problem | None:
    words = "use 1 to 150 letters, digits and @ . + - _"
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError:
        return Problem(words, field="username")
    return Problem(words, field="username") if len(name) > _LONGEST_NAME else None
