"""A person's own account: password, second factor, sessions."""

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from central_dispatch.fleet import settings
from central_dispatch.fleet.home import home_directory
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.accounts import arrival, people, sessions
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.provider import provider_title
from central_dispatch.portal.accounts.second_factor import has_second_factor, verify
from central_dispatch.portal.pages.login import locked_out, safe
from central_dispatch.portal.pages.rendering import go, place_problems, raise_if_hidden, summary_of


def person(request: HttpRequest) -> User:
    """Return who is logged in, as it is in the database now."""
    return User.objects.get(pk=actor_of(request).user_id or 0)


@requires("account.own", early=True)
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show the account; change its password. Other sessions of the account end by it."""
    user = person(request)
    form = PasswordChangeForm(user, request.POST or None) if user.has_usable_password() else None
    if form is not None:
        form.fields["old_password"].widget.attrs.pop("autofocus", None)  # the page is about more than the password
    if form is not None and request.method == "POST":
        if arrival.is_shut(request, user.username):
            return locked_out(request, {"username": user.username})
        if _change_password(request, user, form):
            messages.success(request, "The password was changed. Other sessions of yours were signed out.")
            return go(request, reverse("account"))
    values = {
        "form": form,
        "summary": summary_of(form) if form else [],
        "person": user,
        "has_second_factor": has_second_factor(user),
        "wants_second_factor": settings.read(settings.LoginRules).wants_second_factor(user.roles),
        "codes_left": user.recovery_codes.filter(used_at=None).count(),
        "provider": provider_title(home_directory()),
        "sessions": sessions.of(user, request.session.session_key),
    }
    return render(request, "account/page.html", values, status=422 if form and form.errors else 200)


def _change_password(request: HttpRequest, user: User, form: PasswordChangeForm) -> bool:
    """Change it where the form is right; a wrong old password counts as a wrong one at the sign-in."""
    if not form.is_valid():
        if request.POST.get("old_password") and "old_password" in form.errors:
            arrival.code_was_wrong(request, user)
        return False
    with transaction.atomic():
        password, key = form.cleaned_data["new_password1"], request.session.session_key
        answer = people.change_own_password(actor_of(request), password, key)
        if not isinstance(answer, Refused):
            update_session_auth_hash(request, answer)
            arrival.confirmed(request)
            return True
    raise_if_hidden(answer)
    place_problems(form, answer.problems)
    return False


@requires("account.own", early=True)
@require_POST
def end_session(request: HttpRequest, session_id: str) -> HttpResponse:
    """End one of one's own sessions."""
    if sessions.end(actor_of(request), person(request), session_id):
        messages.success(request, "That session was signed out.")
    return HttpResponseRedirect(reverse("account"))


@requires("account.own", early=True)
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Ask who it is, before a dangerous act: the password, or a code of the second factor."""
    user, address = person(request), safe(request.POST.get("next") or request.GET.get("next") or "/")
    if arrival.is_shut(request, user.username):
        return locked_out(request, {"username": user.username})
    wrong = False
    if request.method == "POST":
        given = request.POST.get("secret", "")
        if user.check_password(given) or verify(user, given, timezone.now()):
            arrival.confirmed(request)
            return HttpResponseRedirect(address)
        arrival.code_was_wrong(request, user)
        wrong = True
    values = {
        "next": address,
        "wrong": wrong,
        "has_second_factor": has_second_factor(user),
        "has_password": user.has_usable_password(),
        "provider": provider_title(home_directory()) if user.vouched_as else "",
    }
    return render(request, "account/confirm.html", values, status=422 if wrong else 200)
