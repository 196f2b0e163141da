"""Going to the provider and coming back: to log in, to link the account, or to show anew who it is.

A plain link begins it: the policy forbids a form whose answer leads elsewhere. What comes back counts only in the
session that began.
"""

import time
from dataclasses import asdict
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from central_dispatch.fleet.home import home_directory
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.accounts import arrival, vouched
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.provider import Identity, Journey, arrive, configured, depart
from central_dispatch.portal.pages.login import safe
from central_dispatch.portal.pages.rendering import say
from central_dispatch.provisioning.problem import HostError, Problem

_KEPT = "journey"
_LOGIN, _LINK, _CONFIRM = "login", "link", "confirm"
#: To confirm, the provider must have asked for the password this lately, in seconds.
_ASKED_S = 300


@requires("public")
@require_GET
def begin(request: HttpRequest) -> HttpResponse:
    """Send the browser to the provider; `for` is login, link or confirm."""
    purpose = request.GET.get("for", _LOGIN)
    if (purpose == _LOGIN) == isinstance(request.user, User) or purpose not in {_LOGIN, _LINK, _CONFIRM}:
        return HttpResponseRedirect(reverse("account" if isinstance(request.user, User) else "login"))
    if task := _task_before_linking(request, purpose):
        return HttpResponseRedirect(task)
    if purpose == _LINK and not arrival.is_fresh(request):
        return HttpResponseRedirect(f"{reverse('confirm')}?{urlencode({'next': request.get_full_path()})}")
    try:
        address, journey = depart(configured(home_directory()), _return_address(request))
    except HostError as error:
        return _failed(request, error.problem)
    kept = {**asdict(journey), "for": purpose, "next": safe(request.GET.get("next", "/"))}
    request.session[_KEPT] = kept
    if purpose == _CONFIRM:
        address += "&" + urlencode({"prompt": "login", "max_age": "0"})
    return HttpResponseRedirect(address)


@requires("public")
@require_GET
def back(request: HttpRequest) -> HttpResponse:
    """Take the provider's answer."""
    kept = request.session.pop(_KEPT, None)
    if kept is None:
        return _failed(request, Problem("This login was not begun here, or long ago", mend="Sign in anew."))
    journey = Journey(kept["state"], kept["nonce"], kept["verifier"], kept["until"])
    answer = {name: request.GET.get(name, "") for name in ("state", "code", "iss", "error") if name in request.GET}
    try:
        oidc = configured(home_directory())
        identity = arrive(oidc, journey, answer, _return_address(request))
        if kept["for"] == _LOGIN:
            user = vouched.account_of(identity, oidc, request.META.get("REMOTE_ADDR", ""))
            return _enter(request, user, kept["next"])
    except HostError as error:
        return _failed(request, error.problem)
    if not isinstance(request.user, User):
        return HttpResponseRedirect(reverse("login"))
    return _linked(request, identity) if kept["for"] == _LINK else _confirmed(request, identity, kept["next"])


@requires("account.own", fresh=True)
@require_POST
def unlink(request: HttpRequest) -> HttpResponse:
    """Take the link away."""
    actor = actor_of(request)
    answer = vouched.unlink(actor, actor.name)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, "The account is not linked any more.")
    return HttpResponseRedirect(reverse("account"))


def _enter(request: HttpRequest, user: User | Refused, address: str) -> HttpResponse:
    if isinstance(user, Refused):
        return _failed(request, user.problems[0], status=403)
    if arrival.first_factor_was_right(request, user, address):
        return HttpResponseRedirect(address)
    return HttpResponseRedirect(reverse("login-code"))


def _task_before_linking(request: HttpRequest, purpose: str) -> str:
    """Return the page of what has to be done first: whoever made a one-time password shall not link an identity."""
    user = request.user
    task = arrival.first_task(request, user) if purpose == _LINK and isinstance(user, User) else ""
    return reverse(task) if task else ""


def _linked(request: HttpRequest, identity: Identity) -> HttpResponse:
    if task := _task_before_linking(request, _LINK):
        return HttpResponseRedirect(task)
    answer = vouched.link(actor_of(request), identity)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, "The account is linked: you can sign in by the provider, too.")
    return HttpResponseRedirect(reverse("account"))


def _confirmed(request: HttpRequest, identity: Identity, address: str) -> HttpResponse:
    asked_at = identity.claims.get("auth_time")
    if not vouched.is_of(actor_of(request), identity):
        return _failed(
            request, Problem("The provider knows you as somebody else", mend="Sign out there, and try again.")
        )
    if not isinstance(asked_at, (int, float)) or time.time() - asked_at > _ASKED_S:
        return _failed(request, Problem("The provider did not ask you anew", mend="Sign out there, and try again."))
    arrival.confirmed(request)
    return HttpResponseRedirect(address)


def _return_address(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("login-provider-back"))


def _failed(request: HttpRequest, problem: Problem, status: int = 502) -> HttpResponse:
    return render(request, "login_failed.html", {"problem": problem}, status=status)
