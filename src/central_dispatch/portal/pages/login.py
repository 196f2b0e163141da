"""Signing in and out. Wrong passwords and codes close the sign-in for the pair of name and address (`axes`)."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from central_dispatch.fleet.home import home_directory
from central_dispatch.portal.access import requires
from central_dispatch.portal.accounts import arrival
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.provider import provider_title
from central_dispatch.portal.accounts.second_factor import verify

logout = requires("public")(require_POST(LogoutView.as_view()))


def safe(address: str) -> str:
    """Return the address if it is one of ours, else the first page."""
    return address if url_has_allowed_host_and_scheme(address, allowed_hosts=None) else "/"


@requires("public")
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """Ask for name and password; who has a second factor is asked for its code next."""
    address = safe(request.POST.get("next") or request.GET.get("next") or "/")
    if isinstance(request.user, User):
        return HttpResponseRedirect(address)
    form = AuthenticationForm(request, data=request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        user = form.get_user()
        if isinstance(user, User) and arrival.first_factor_was_right(request, user, address):
            return HttpResponseRedirect(address)
        return HttpResponseRedirect(reverse("login-code"))
    return render(request, "login.html", {"form": form, "next": address, "provider": provider_title(home_directory())})


@requires("public")
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """Ask for the code of the second factor."""
    waiting = arrival.pending(request)
    if waiting is None:
        return HttpResponseRedirect(reverse("login"))
    if arrival.is_shut(request, waiting.user.username):
        return locked_out(request, {"username": waiting.user.username})
    wrong = False
    if request.method == "POST":
        if verify(waiting.user, request.POST.get("code", ""), timezone.now()):
            arrival.second_factor_was_right(request, waiting.user)
            return HttpResponseRedirect(waiting.address)
        arrival.code_was_wrong(request, waiting.user)
        wrong = True
    return render(request, "login_code.html", {"wrong": wrong}, status=422 if wrong else 200)


@requires("public")
def locked_out(request: HttpRequest, credentials: dict[str, Any], *_args: object, **_kwargs: object) -> HttpResponse:
    """429: say for how long, and that nobody else is kept out."""
    return render(request, "lockout.html", {"username": credentials.get("username", "")}, status=429)
