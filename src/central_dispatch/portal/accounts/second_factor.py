"""The second factor: a code that changes every 30 s (TOTP, RFC 6238), and recovery codes for a lost telephone."""

import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from django.db import transaction
from django_otp.oath import TOTP

from central_dispatch.fleet import audit, settings
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, absent, conflict, forbidden
from central_dispatch.fleet.sealed_text import seal, unseal
from central_dispatch.fleet.secret_text import digest
from central_dispatch.portal.accounts.models import RecoveryCode, SecondFactor, User
from central_dispatch.provisioning.problem import Problem

RECOVERY_CODES = 10
#: A secret that nobody confirms is forgotten after this: it is not there for somebody who comes later.
SET_UP_WITHIN = timedelta(minutes=10)
#: A wrong code closes the second factor for 1, 2, 4 … s, for whoever asks: six digits would be guessed otherwise.
LONGEST_PAUSE_S = 900
_PURPOSE = "second factor"
_STEP_S, _DIGITS, _DRIFT_STEPS = 30, 6, 1
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class SetUp:
    """What an authenticator app needs: shown until it is confirmed by a code, then never again."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


def has_second_factor(user: User) -> bool:
    """Say whether the person logs in with one."""
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).exists()


def must_set_up(user: User) -> bool:
    """Say whether the person's roles want a second factor that is not there."""
    return settings.read(settings.LoginRules).wants_second_factor(user.roles) and not has_second_factor(user)


def set_up(user: User, now: datetime) -> SetUp | Refused:
    """Begin, or go on, to set one up: the same secret for some minutes, until it is confirmed."""
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(user=user).first()
        if factor is not None and factor.confirmed_at is not None:
            return conflict("There is a second factor already", mend="Remove it first.")
        secret = unseal(factor.sealed_secret, _PURPOSE) if factor and not _is_old(factor, now) else None
        if secret is None:
            secret = base64.b32encode(secrets.token_bytes(20)).decode()
            values = {"sealed_secret": seal(secret, _PURPOSE), "created_at": now, "last_step": 0}
            SecondFactor.objects.update_or_create(user=user, defaults=values)
    label = quote(f"Central Dispatch:{user.username}")
    query = urlencode({"secret": secret, "issuer": "Central Dispatch", "digits": _DIGITS, "period": _STEP_S})
    return SetUp(secret, f"otpauth://totp/{label}?{query}")


def confirm(by: Actor, user: User, code: str, now: datetime) -> list[str] | Refused:
    """Take the second factor into use after a first right code; returns the recovery codes, which are shown once."""
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(user=user).first()
        if factor is None or factor.confirmed_at is not None or _is_old(factor, now):
            return conflict("There is nothing to confirm", mend="Begin anew.")
        if not _is_right(factor, code, now):
            mend = "Look at the newest one; the clock of the telephone must be right."
            return Refused("invalid", (Problem("is not the code of this moment", mend=mend, field="code"),))
        factor.confirmed_at = now
        factor.save(update_fields=["confirmed_at", "last_step"])
        codes = _new_codes(user)
        audit.record(by, "account.second_factor_set_up", f"user:{user.username}"[:60], title=user.username)
        announce("accounts")
    return codes


def verify(user: User, code: str, now: datetime) -> bool:
    """Say whether the code is right now; each is good once. A recovery code does it, too."""
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(user=user, confirmed_at__isnull=False).first()
        if factor is None or _pause_until(factor) > now:
            return False
        right = _is_right(factor, code, now) or _use_recovery_code(user, code, now)
        factor.failures = 0 if right else factor.failures + 1
        factor.failed_at = None if right else now
        factor.save(update_fields=["failures", "failed_at", "last_step"])
    return right


def new_recovery_codes(by: Actor, user: User) -> list[str] | Refused:
    """Replace the recovery codes; those before stop working."""
    if not has_second_factor(user):
        return conflict("There is no second factor", mend="Set one up.")
    with transaction.atomic():
        codes = _new_codes(user)
        audit.record(by, "account.recovery_codes", f"user:{user.username}"[:60], title=user.username)
    return codes


def remove(by: Actor, username: str) -> User | Refused:
    """Take the second factor away: one's own, where no role wants it, or, for an administrator, another's.

    The person's sessions stay where it is their own doing, and end where it is another's.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(username=username).first()
        if user is None:
            return absent("account")
        own = user.pk == by.user_id
        if not may(by, "account.own" if own else "account.second_factor"):
            return forbidden("the second factor of others is reset by administrators")
        if own and settings.read(settings.LoginRules).wants_second_factor(user.roles):
            return conflict("Your roles want a second factor", mend="Another administrator can reset it.")
        SecondFactor.objects.filter(user=user).delete()
        RecoveryCode.objects.filter(user=user).delete()
        if not own:
            user.login_sessions.all().delete()
        audit.record(by, "account.second_factor_reset", f"user:{user.username}"[:60], title=user.username)
        announce("accounts")
    return user


def forget_unconfirmed(user: User) -> None:
    """Forget a secret that is being set up, in the caller's act: who knew the password before may have seen it."""
    SecondFactor.objects.filter(user=user, confirmed_at=None).delete()


def _is_old(factor: SecondFactor, now: datetime) -> bool:
    return now - factor.created_at > SET_UP_WITHIN


def _is_right(factor: SecondFactor, code: str, now: datetime) -> bool:
    """Compare with the codes around now, and remember the step: no code counts twice."""
    secret, digits = unseal(factor.sealed_secret, _PURPOSE), code.replace(" ", "")
    if secret is None or len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return False
    totp = TOTP(base64.b32decode(secret), step=_STEP_S, digits=_DIGITS)
    totp.time = now.timestamp()
    if not totp.verify(int(digits), tolerance=_DRIFT_STEPS, min_t=factor.last_step + 1):
        return False
    factor.last_step = totp.t()
    return True


def _pause_until(factor: SecondFactor) -> datetime:
    if factor.failed_at is None:
        return factor.created_at
    return factor.failed_at + timedelta(seconds=min(2 ** min(factor.failures - 1, 30), LONGEST_PAUSE_S))


def _use_recovery_code(user: User, code: str, now: datetime) -> bool:
    plain = code.upper().replace(" ", "").replace("-", "")
    unused = RecoveryCode.objects.filter(user=user, code_hash=digest(plain), used_at=None)
    return unused.update(used_at=now) == 1


def _new_codes(user: User) -> list[str]:
    """Make codes of 80 random bits: too many to guess, so that a plain hash keeps them."""
    codes = ["".join(secrets.choice(_LETTERS) for _ in range(16)) for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.filter(user=user).delete()
    RecoveryCode.objects.bulk_create([RecoveryCode(user=user, code_hash=digest(code)) for code in codes])
    return ["-".join(code[start : start + 4] for start in range(0, 16, 4)) for code in codes]
