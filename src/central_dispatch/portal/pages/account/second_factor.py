"""Setting the second factor up and taking it away."""

import segno
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_http_methods, require_POST

from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.accounts import arrival
from central_dispatch.portal.accounts import second_factor as services
from central_dispatch.portal.pages.account.views import person
from central_dispatch.portal.pages.rendering import say, sentence


@requires("account.own", early=True, fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    """Show the secret as a picture and as text; a right code takes it into use, and the recovery codes follow."""
    user, error = person(request), ""
    if user.password_is_passing:
        return HttpResponseRedirect(reverse("account"))  # whoever made the password would know the secret
    if request.method == "POST":
        answer = services.confirm(actor_of(request), user, request.POST.get("code", ""), timezone.now())
        if not isinstance(answer, Refused):
            arrival.note_second_factor(request)
            return render(request, "account/recovery_codes.html", {"codes": answer, "fresh": True})
        error = " ".join(map(sentence, answer.problems))
    shown = services.set_up(user, timezone.now())
    if isinstance(shown, Refused):
        say(request, shown)
        return HttpResponseRedirect(reverse("account"))
    picture = segno.make(shown.uri, error="m").svg_inline(scale=5, light="#fff")
    values = {
        "picture": mark_safe(picture),  # noqa: S308 segno's drawing of a text; it writes no text into it
        "secret": " ".join(shown.secret[start : start + 4] for start in range(0, len(shown.secret), 4)),
        "error": error,
    }
    return render(request, "account/second_factor.html", values, status=422 if error else 200)


@requires("account.own", fresh=True)
@require_POST
def remove(request: HttpRequest) -> HttpResponse:
    """Take it away."""
    answer = services.remove(actor_of(request), person(request).username)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, "The second factor was removed.")
    return HttpResponseRedirect(reverse("account"))


@requires("account.own", fresh=True)
@require_POST
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Replace the recovery codes, and show the new ones once."""
    answer = services.new_recovery_codes(actor_of(request), person(request))
    if isinstance(answer, Refused):
        say(request, answer)
        return HttpResponseRedirect(reverse("account"))
    return render(request, "account/recovery_codes.html", {"codes": answer})
