"""Administration → Sign-in and retention: the rules that hold for everybody."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from central_dispatch.fleet import settings
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.rendering import place_problems, raise_if_hidden, summary_of


class RulesFields(forms.Form):
    """Both groups of settings on one page. The groups judge what was typed."""

    second_factor_roles = forms.MultipleChoiceField(
        required=False,
        label="Second factor",
        widget=forms.CheckboxSelectMultiple,
        choices=[(role.word, role.title) for role in Role],
    )
    jobs_days = forms.IntegerField(label="Jobs that have ended, in days", help_text="Dead letters: see their queue.")
    looks_days = forms.IntegerField(label="Plans and inventories, in days")
    events_per_run = forms.IntegerField(
        label="Journal lines of a run that has ended", help_text="The steps are kept in any case."
    )


_GROUPS = (settings.LoginRules, settings.Retention)


@requires("settings.change", fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def rules(request: HttpRequest) -> HttpResponse:
    """Show and change them; they hold at once."""
    initial: dict[str, Any] = {}
    for group in _GROUPS:
        initial |= settings.read(group).model_dump()
    form = RulesFields(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_bound and form.is_valid():
        refused = _change(actor_of(request), form.cleaned_data)
        if not refused:
            messages.success(request, "The rules were saved.")
            return HttpResponseRedirect(reverse("rules"))
        for one in refused:
            raise_if_hidden(one)
            place_problems(form, one.problems)
    values = {"form": form, "summary": summary_of(form)}
    return render(request, "rules.html", values, status=422 if form.errors else 200)


def _change(by: Actor, typed: dict[str, Any]) -> list[Refused]:
    """Change both groups, or, where one is refused, neither."""
    with transaction.atomic():
        answers = [settings.change(by, group, {name: typed[name] for name in group.model_fields}) for group in _GROUPS]
        refused = [answer for answer in answers if isinstance(answer, Refused)]
        transaction.set_rollback(bool(refused))
    return refused
