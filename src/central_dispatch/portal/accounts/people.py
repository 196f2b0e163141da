"""Accounts: add and remove people, give a role or a new password. A password is given, or generated and shown once."""

import secrets
from dataclasses import dataclass, field

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.refusal import Refused, absent, conflict, forbidden
from central_dispatch.portal.accounts.models import User
from central_dispatch.provisioning.problem import Problem

_LONGEST_NAME = 150


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A person and their password. It is in no table; a generated one is shown once."""

    user: User
    password: str = field(repr=False)


def add_person(by: Actor, username: str, role: Role, password: str | None = None) -> NewPassword | Refused:
    """Make an account with this password, or with a generated one."""
    if by.role is not Role.ADMINISTRATOR:
        return forbidden("accounts are made by administrators")
    name = username.strip()
    if problem := _name_problem(name):
        return Refused("invalid", (problem,))
    user = User(username=name, role=role.value)
    if password is not None and (problems := _password_problems(password, user)):
        return Refused("invalid", problems)
    # Hashed before the transaction: it takes longer than one may.
    made = _with_password(user, password)
    with transaction.atomic():
        if User.objects.filter(username__iexact=name).exists():
            return conflict(f"“{name}” is taken", mend="Choose another name.", field="username")
        user.save()
        audit.record(by, "account.create", f"user:{name}", title=name, after={"role": role.value})
    return made


def new_password(by: Actor, username: str, password: str | None = None) -> NewPassword | Refused:
    """Give an account this password, or a generated one; its sessions end."""
    if by.role is not Role.ADMINISTRATOR:
        return forbidden("passwords of others are made by administrators")
    user = User.objects.filter(username=username).first()
    if user is None:
        return absent("account")
    if password is not None and (problems := _password_problems(password, user)):
        return Refused("invalid", problems)
    made = _with_password(user, password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        audit.record(by, "account.password", f"user:{user.username}", title=user.username)
    return made


def set_role(by: Actor, username: str, role: Role) -> User | Refused:
    """Give an account another role. The last administrator keeps theirs."""
    if by.role is not Role.ADMINISTRATOR:
        return forbidden("roles are given by administrators")
    with transaction.atomic():
        user = User.objects.select_for_update().filter(username=username).first()
        if user is None:
            return absent("account")
        before = user.role
        if role is not Role.ADMINISTRATOR and (refused := _keeps_an_administrator(user)):
            return refused
        user.role = role.value
        user.save(update_fields=["role"])
        subject = f"user:{user.username}"
        audit.record(
            by, "account.role", subject, title=user.username, before={"role": before}, after={"role": role.value}
        )
    return user


def remove_person(by: Actor, username: str) -> User | Refused:
    """Remove an account: its sessions and tokens end, the audit trail keeps its name."""
    if by.role is not Role.ADMINISTRATOR:
        return forbidden("accounts are removed by administrators")
    with transaction.atomic():
        user = User.objects.select_for_update().filter(username=username).first()
        if user is None:
            return absent("account")
        if refused := _keeps_an_administrator(user) or _keeps_workers_closed(user):
            return refused
        audit.record(by, "account.remove", f"user:{username}", title=username, before={"role": user.role})
        user.delete()
    return user


def generated_password() -> str:
    """Return a password of 120 random bits."""
    return secrets.token_urlsafe(15)


def _with_password(user: User, password: str | None) -> NewPassword:
    given = generated_password() if password is None else password
    user.set_password(given)
    return NewPassword(user, given)


def _password_problems(password: str, user: User) -> tuple[Problem, ...]:
    try:
        validate_password(password, user)
    except ValidationError as error:
        return tuple(Problem(message.rstrip("."), field="password") for message in error.messages)
    return ()


def _keeps_an_administrator(user: User) -> Refused | None:
    """Refuse to take the last administrator away: nobody could make another one in the portal."""
    others = User.objects.filter(role=Role.ADMINISTRATOR.value, is_active=True).exclude(pk=user.pk)
    if user.role != Role.ADMINISTRATOR.value or others.exists():
        return None
    mend = "Make somebody else an administrator first."
    return conflict(f"{user.username} is the last administrator", mend=mend, field="role")


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
