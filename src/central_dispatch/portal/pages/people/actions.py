"""What is done with an account: keep out, let in, a new password, no second factor, sign out, remove."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.accounts import people as services
from central_dispatch.portal.accounts import second_factor, sessions, vouched
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.pages.people.views import find
from central_dispatch.portal.pages.rendering import place_problems, raise_if_hidden, say, summary_of
from central_dispatch.portal.pages.workers.forms import TypedName


@requires("account.change", fresh=True)
@require_POST
def deactivate(request: HttpRequest, user_id: int) -> HttpResponse:
    """Keep the person out."""
    return _act(request, user_id, lambda by, name: services.set_active(by, name, active=False), "is kept out now")


@requires("account.change", fresh=True)
@require_POST
def activate(request: HttpRequest, user_id: int) -> HttpResponse:
    """Let the person in again."""
    return _act(request, user_id, lambda by, name: services.set_active(by, name, active=True), "may sign in again")


@requires("account.second_factor", fresh=True)
@require_POST
def reset_second_factor(request: HttpRequest, user_id: int) -> HttpResponse:
    """Take the second factor away."""
    return _act(request, user_id, second_factor.remove, "signs in with the password alone now")


@requires("account.change", fresh=True)
@require_POST
def unlink(request: HttpRequest, user_id: int) -> HttpResponse:
    """Take the link to the provider away."""
    return _act(request, user_id, vouched.unlink, "cannot sign in by the provider any more")


@requires("account.password", fresh=True)
@require_POST
def new_password(request: HttpRequest, user_id: int) -> HttpResponse:
    """Make a one-time password, and show it once."""
    answer = services.new_password(actor_of(request), find(user_id).username)
    if isinstance(answer, Refused):
        say(request, answer)
        return HttpResponseRedirect(reverse("user", args=[user_id]))
    return render(request, "people/password.html", {"person": answer.user, "password": answer.password})


@requires("account.sessions")
@require_POST
def sign_out(request: HttpRequest, user_id: int, session_id: str = "") -> HttpResponse:
    """End one of the person's sessions, or all."""
    answer = sessions.end(actor_of(request), find(user_id), session_id)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, f"{answer} session{'' if answer == 1 else 's'} ended.")
    return HttpResponseRedirect(reverse("user", args=[user_id]))


@requires("account.remove", fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, user_id: int) -> HttpResponse:
    """Remove the account, after its name was typed."""
    person = find(user_id)
    form = TypedName(person.username, request.POST or None)
    if request.method == "POST":
        form.is_valid()
        if request.POST.get("typed_name", "").strip() != person.username:
            form.add_error("typed_name", f"Does not match. Type {person.username} to confirm.")
        else:
            answer = services.remove_person(actor_of(request), person.username)
            if not isinstance(answer, Refused):
                messages.success(request, f"{person.username} was removed.")
                return HttpResponseRedirect(reverse("users"))
            raise_if_hidden(answer)
            place_problems(form, answer.problems)
    values = {"person": person, "form": form, "summary": summary_of(form)}
    return render(request, "people/remove.html", values, status=422 if form.errors else 200)


def _act(request: HttpRequest, user_id: int, act: Callable[[Actor, str], User | Refused], done: str) -> HttpResponse:
    person = find(user_id)
    answer = act(actor_of(request), person.username)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, f"{person.username} {done}.")
    return HttpResponseRedirect(reverse("user", args=[user_id]))
