"""Signing in and out. `axes` counts wrong passwords and closes the sign-in for the pair of name and address."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from central_dispatch.portal.access import requires

login = requires("public")(
    require_http_methods(["GET", "HEAD", "POST"])(
        LoginView.as_view(
            template_name="login.html", authentication_form=AuthenticationForm, redirect_authenticated_user=True
        )
    )
)
logout = requires("public")(require_POST(LogoutView.as_view()))


@requires("public")
def locked_out(request: HttpRequest, credentials: dict[str, Any], *_args: object, **_kwargs: object) -> HttpResponse:
    """429: say for how long, and that nobody else is kept out."""
    return render(request, "lockout.html", {"username": credentials.get("username", "")}, status=429)
