"""A person's own account: the password."""

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from central_dispatch.fleet import audit
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.pages.rendering import go, summary_of


@requires("account.own")
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show the account; change its password. Other sessions of the account end by it."""
    actor = actor_of(request)
    form = PasswordChangeForm(User.objects.get(username=actor.name), request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = form.save()
        update_session_auth_hash(request, user)
        audit.record(actor, "account.password", f"user:{user.pk}", title=actor.name)
        messages.success(request, "The password was changed. Other sessions of yours were signed out.")
        return go(request, "/account/")
    status = 422 if form.errors else 200
    return render(request, "account/page.html", {"form": form, "summary": summary_of(form)}, status=status)
