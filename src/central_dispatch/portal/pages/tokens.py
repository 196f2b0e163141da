"""Tokens of programs: one's own, and for administrators everybody's."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from central_dispatch.fleet.permissions import acts_of, may
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.accounts import tokens as services
from central_dispatch.portal.accounts.models import ApiToken, User
from central_dispatch.portal.pages.account.views import person
from central_dispatch.portal.pages.paging import paged
from central_dispatch.portal.pages.rendering import place_problems, raise_if_hidden, say, show, summary_of

_DAYS = 90


class TokenFields(forms.Form):
    """A new token."""

    name = forms.CharField(required=False, label="Name", help_text="What it is for, as lists show it.")
    scope = forms.MultipleChoiceField(required=False, label="What it may", widget=forms.CheckboxSelectMultiple)
    days = forms.IntegerField(required=False, label="Good for, in days", initial=_DAYS)

    def __init__(self, data: QueryDict | None, owner: User) -> None:
        super().__init__(data, initial={"scope": ["*.view"]})
        acts = acts_of(owner.roles)
        groups = dict.fromkeys(act.partition(".")[0] for act in acts if not act.endswith(".view"))
        choices = [("*", "everything that you may"), ("*.view", "looking (*.view)")]
        choices += [(f"{group}.*", _named(group, acts)) for group in groups]
        self.fields["scope"].choices = choices  # type: ignore[attr-defined] # a MultipleChoiceField


def _named(group: str, acts: list[str]) -> str:
    return f"{group}: {', '.join(act.partition('.')[2] for act in acts if act.startswith(group + '.'))}"


@requires("account.own")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the tokens; for administrators everybody's, with `all`."""
    actor = actor_of(request)
    sees_all = may(actor, "token.others")
    everybody = sees_all and request.GET.get("all") == "1"
    rows = ApiToken.objects.select_related("user")
    rows = rows if everybody else rows.filter(user=person(request))
    values = {"paged": paged(request, rows), "sees_all": sees_all, "everybody": everybody, "now": timezone.now()}
    return show(request, "tokens/list.html", "tokens/_list.html", values)


@requires("account.own", fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a token of one's own, and show its text once."""
    owner = person(request)
    form = TokenFields(request.POST if request.method == "POST" else None, owner)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        answer = services.create_token(actor_of(request), owner, given["name"], given["scope"], given["days"] or 0)
        if not isinstance(answer, Refused):
            return render(request, "tokens/shown.html", {"token": answer.token, "text": answer.text})
        raise_if_hidden(answer)
        place_problems(form, answer.problems)
    values = {"form": form, "summary": summary_of(form)}
    return render(request, "tokens/new.html", values, status=422 if form.errors else 200)


@requires("account.own")
@require_POST
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """End a token."""
    answer = services.revoke_token(actor_of(request), token_id)
    if isinstance(answer, Refused):
        say(request, answer)
    else:
        messages.success(request, f"The token {answer.name} opens nothing any more.")
    return HttpResponseRedirect(reverse("tokens"))
