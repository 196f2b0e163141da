"""How a person comes in: the first factor, the second where there is one, and now and then "is it still you?"."""

import time
from dataclasses import dataclass
from typing import Literal

from axes.handlers.proxy import AxesProxyHandler
from django.contrib import auth
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest

from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.second_factor import has_second_factor, must_set_up
from central_dispatch.portal.accounts.sessions import note_use

_BACKEND = "django.contrib.auth.backends.ModelBackend"
#: Between the password and the code, in seconds.
PENDING_S = 300
#: Dangerous acts want to know who it is if the last look is older than this, in seconds.
FRESH_S = 900
_PENDING, _CONFIRMED, _FACTOR = "pending", "confirmed", "second_factor"


@dataclass(frozen=True, slots=True)
class Pending:
    """Somebody whose first factor was right, and where they wanted to go."""

    user: User
    address: str


def first_factor_was_right(request: HttpRequest, user: User, address: str) -> bool:
    """Let the person in, unless they have a second factor: then False, and a code is to be asked for."""
    if not has_second_factor(user):
        _let_in(request, user)
        return True
    request.session[_PENDING] = {"user": user.pk, "address": address, "until": time.time() + PENDING_S}
    return False


def pending(request: HttpRequest) -> Pending | None:
    """Return who is asked for a code; None where nobody is, or it took too long."""
    kept = request.session.get(_PENDING)
    if not kept or kept["until"] < time.time():
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True).first()
    return Pending(user, kept["address"]) if user else None


def second_factor_was_right(request: HttpRequest, user: User) -> None:
    """Let the person in."""
    request.session.pop(_PENDING, None)
    _let_in(request, user)
    request.session[_FACTOR] = True


def note_second_factor(request: HttpRequest) -> None:
    """Remember that the person of this session has set one up."""
    request.session[_FACTOR] = True


def code_was_wrong(request: HttpRequest, user: User) -> None:
    """Count it as a wrong password is counted, for the name from this address."""
    user_login_failed.send(sender=__name__, credentials={"username": user.username}, request=request)


def is_shut(request: HttpRequest, username: str) -> bool:
    """Say whether too many wrong passwords or codes came for this name from this address."""
    return not AxesProxyHandler.is_allowed(request, {"username": username})


def is_fresh(request: HttpRequest) -> bool:
    """Say whether the person showed lately who they are."""
    return bool(time.time() - request.session.get(_CONFIRMED, 0) < FRESH_S)


def confirmed(request: HttpRequest) -> None:
    """Remember that the person has just shown who they are."""
    request.session[_CONFIRMED] = time.time()


def first_task(request: HttpRequest, user: User) -> Literal["", "account", "second-factor"]:
    """Return the page of what the person has to do before anything else: another password, a second factor."""
    if user.password_is_passing:
        return "account"
    return "second-factor" if not request.session.get(_FACTOR) and must_set_up(user) else ""


def _let_in(request: HttpRequest, user: User) -> None:
    auth.login(request, user, backend=_BACKEND)
    confirmed(request)
    note_use(request)
