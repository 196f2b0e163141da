"""Accounts: add a person, give a role, make a new password. Passwords are generated and shown once."""

import secrets
from dataclasses import dataclass, field

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
    """A person and the password that was generated. It is in no table; it is shown once."""

    user: User
    password: str = field(repr=False)


def add_person(by: Actor, username: str, role: Role) -> NewPassword | Refused:
    """Make an account with a generated password."""
    if by.role is not Role.ADMINISTRATOR:
        return forbidden("accounts are made by administrators")
    name = username.strip()
    if problem := _name_problem(name):
        return Refused("invalid", (problem,))
    password = generated_password()
    # Hashed before the transaction: it takes longer than one may.
    user = User(username=name, role=role.value)
    user.set_password(password)
    with transaction.atomic():
        if User.objects.filter(username__iexact=name).exists():
            return conflict(f"“{name}” is taken", mend="Choose another name.", field="username")
        user.save()
        audit.record(by, "account.create", f"user:{name}", title=name, after={"role": role.value})
    return NewPassword(user, password)


def new_password(by: Actor, username: str) -> NewPassword | Refused:
    """Give an account a fresh generated password; its sessions end."""
    if by.role is not Role.ADMINISTRATOR:
        return forbidden("passwords of others are made by administrators")
    user = User.objects.filter(username=username).first()
    if user is None:
        return absent("account")
    password = generated_password()
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        audit.record(by, "account.password", f"user:{user.username}", title=user.username)
    return NewPassword(user, password)


def set_role(by: Actor, username: str, role: Role) -> User | Refused:
    """Give an account another role. The last administrator keeps theirs."""
    if by.role is not Role.ADMINISTRATOR:
        return forbidden("roles are given by administrators")
    with transaction.atomic():
        user = User.objects.select_for_update().filter(username=username).first()
        if user is None:
            return absent("account")
        before = user.role
        others = User.objects.filter(role=Role.ADMINISTRATOR.value, is_active=True).exclude(pk=user.pk)
        if before == Role.ADMINISTRATOR.value and role is not Role.ADMINISTRATOR and not others.exists():
            mend = "Make somebody else an administrator first."
            return conflict(f"{user.username} is the last administrator", mend=mend, field="role")
        user.role = role.value
        user.save(update_fields=["role"])
        subject = f"user:{user.username}"
        audit.record(
            by, "account.role", subject, title=user.username, before={"role": before}, after={"role": role.value}
        )
    return user


def generated_password() -> str:
    """Return a password of 120 random bits."""
    return secrets.token_urlsafe(15)


def _name_problem(name: str) -> Problem | None:
    words = "use 1 to 150 letters, digits and @ . + - _"
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError:
        return Problem(words, field="username")
    return Problem(words, field="username") if len(name) > _LONGEST_NAME else None
