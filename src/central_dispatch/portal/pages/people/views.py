"""Administration → Users: the list, the record, a new account, other rights."""

from django.db.models import Count, Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from central_dispatch.fleet.actor import Role
from central_dispatch.fleet.models import Instance, Worker
from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.accounts import people as services
from central_dispatch.portal.accounts import sessions
from central_dispatch.portal.accounts.models import SecondFactor, User
from central_dispatch.portal.pages.paging import paged
from central_dispatch.portal.pages.people.forms import NewPersonFields, RightsFields
from central_dispatch.portal.pages.rendering import place_problems, raise_if_hidden, show, summary_of


def find(user_id: int) -> User:
    """Return the account, or raise 404."""
    found = User.objects.filter(pk=user_id).first()
    if found is None:
        raise Http404
    return found


@requires("account.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the accounts by name; `q` looks in names, `role` narrows."""
    text, role = request.GET.get("q", "").strip(), request.GET.get("role", "")
    factor = SecondFactor.objects.filter(user=OuterRef("pk"), confirmed_at__isnull=False)
    rows = User.objects.annotate(has_factor=Exists(factor), tokens=Count("api_tokens")).order_by("username")
    if text:
        rows = rows.filter(username__icontains=text)
    if role.upper() in Role.__members__:
        rows = rows.filter(role_words__contains=role)
    values = {"paged": paged(request, rows), "text": text, "role": role, "roles": list(Role)}
    return show(request, "people/list.html", "people/_list.html", values)


@requires("account.view")
@require_safe
def detail(request: HttpRequest, user_id: int) -> HttpResponse:
    """Show an account."""
    person = find(user_id)
    limits = person.limits
    values = {
        "person": person,
        "is_me": person.pk == actor_of(request).user_id,
        "has_factor": SecondFactor.objects.filter(user=person, confirmed_at__isnull=False).exists(),
        "limited_workers": Worker.objects.filter(pk__in=limits.workers),
        "limited_instances": Instance.objects.filter(pk__in=limits.instances).order_by("name"),
        "sessions": sessions.of(person, request.session.session_key),
        "tokens": person.api_tokens.filter(revoked_at=None),
    }
    return show(request, "people/detail.html", "people/_detail.html", values)


@requires("account.create", fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make an account, and show its one-time password."""
    form = NewPersonFields(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        roles, limits = form.chosen_roles(), form.chosen_limits()
        answer = services.add_person(actor_of(request), form.cleaned_data["username"], roles, limits=limits)
        if not isinstance(answer, Refused):
            return render(request, "people/password.html", {"person": answer.user, "password": answer.password})
        raise_if_hidden(answer)
        place_problems(form, answer.problems)
    values = {"form": form, "summary": summary_of(form)}
    return render(request, "people/new.html", values, status=422 if form.errors else 200)


@requires("account.change", fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, user_id: int) -> HttpResponse:
    """Give other roles and limits."""
    person = find(user_id)
    form = RightsFields(request.POST if request.method == "POST" else None, person=person)
    if form.is_bound and form.is_valid():
        roles, limits = form.chosen_roles(), form.chosen_limits()
        answer = services.change_rights(actor_of(request), person.username, roles, limits)
        if not isinstance(answer, Refused):
            return HttpResponseRedirect(reverse("user", args=[user_id]))
        raise_if_hidden(answer)
        place_problems(form, answer.problems)
    values = {"form": form, "person": person, "summary": summary_of(form)}
    return render(request, "people/edit.html", values, status=422 if form.errors else 200)
