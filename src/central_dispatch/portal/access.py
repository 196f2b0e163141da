"""One declaration per view of who may call it; a view without one is closed to everybody."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.permissions import ACTS, may
from central_dispatch.portal.accounts.arrival import first_task, is_fresh
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.sessions import note_use

#: Instead of an act. `public`: without login. `own`: the view checks a credential of its own (host API, public API).
PUBLIC, OWN = "public", "own"
View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def requires(access: str, *, fresh: bool = False, early: bool = False) -> Callable[[View], View]:
    """Declare the act of a view (a row of `fleet.permissions.ACTS`), `public`, or `own`. The outermost decorator.

    `fresh`: only for who showed lately who they are; `early`: also before a one-time password was changed or the
    second factor that a role wants was set up.
    The services ask again, with the thing that is acted on. `KeyError` for an act that is not in the table.
    """
    if access not in {PUBLIC, OWN}:
        ACTS[access]

    def mark(view: View) -> View:
        view.access, view.fresh, view.early = access, fresh, early  # type: ignore[attr-defined] # the middleware reads it
        return view

    return mark


def access_of(view: Callable[..., Any]) -> str | None:
    """Return what a view declared; None: nothing."""
    declared: str | None = getattr(view, "access", None)
    return declared


def actor_of(request: HttpRequest) -> Actor:
    """Return the logged-in person as a service's caller."""
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied
    return user.actor("page", request.META.get("REMOTE_ADDR", ""))


class AccessMiddleware:
    """Lets a request reach its view only by the view's declaration."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Go on; the decision falls once the view is known."""
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: object, _kwargs: object
    ) -> HttpResponseBase | None:
        """Decide."""
        access = access_of(view)
        if access in {PUBLIC, OWN}:
            return None
        if access is None:
            raise PermissionDenied("the address declares no act")
        if not isinstance(request.user, User):
            return _to_login(request)
        note_use(request)
        if not may(actor_of(request), access):
            raise PermissionDenied(f"this needs a role that permits “{access}”")
        return _detour(request, request.user, view)


def _detour(request: HttpRequest, user: User, view: Callable[..., Any]) -> HttpResponseBase | None:
    """Return the way to what has to be done first; None: nothing has."""
    if not getattr(view, "early", False) and (task := first_task(request, user)):
        return _to_page(request, reverse(task))
    if getattr(view, "fresh", False) and not is_fresh(request):
        # What was sent is not kept: a form that waited for so long is sent again by who looks at it.
        back = request.get_full_path() if request.method in {"GET", "HEAD"} else _form_page(request)
        return _to_page(request, f"{reverse('confirm')}?{urlencode({'next': back})}")
    return None


def _form_page(request: HttpRequest) -> str:
    """Return the page from which a form was sent, as a path of ours."""
    page = urlsplit(request.headers.get("Referer", ""))
    return page.path if page.netloc == request.get_host() and page.path.startswith("/") else "/"


def _to_page(request: HttpRequest, address: str) -> HttpResponseBase:
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=401, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def _to_login(request: HttpRequest) -> HttpResponseBase:
    if request.headers.get("HX-Request") == "true":
        # A fragment must not be filled with the login form: the whole page goes there.
        return HttpResponse(status=401, headers={"HX-Redirect": redirect_to_login("/").url})
    return redirect_to_login(request.get_full_path())
