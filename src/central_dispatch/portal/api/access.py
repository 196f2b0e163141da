"""Who calls the API, and whether the endpoint's one declaration admits them."""

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from ninja.errors import HttpError
from ninja.security.base import AuthBase

from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.permissions import ACTS, may
from central_dispatch.portal.accounts.arrival import first_task
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.tokens import actor_by_token
from central_dispatch.portal.host_api.views import bearer


class Needs(AuthBase):
    """Admits a bearer token, or the session of a logged-in person with the CSRF token, that permits the act."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = "An API token, or the session cookie of the portal"

    def __init__(self, act: str) -> None:
        """`act` is a row of `fleet.permissions.ACTS` (`KeyError`); the service asks again, with its object."""
        super().__init__()
        ACTS[act]
        self.act = act

    def __call__(self, request: HttpRequest) -> Actor | None:
        """Return the caller; None: nobody (401). Raises 403 where roles or the token's scope do not permit the act."""
        actor = _caller(request)
        if actor is not None and not may(actor, self.act):
            raise HttpError(403, f"this needs a role, and a token, that permits “{self.act}”")
        return actor


class Closed(AuthBase):
    """Admits nobody: what an endpoint without a declaration gets."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, _request: HttpRequest) -> None:
        """Refuse."""
        raise HttpError(403, "the endpoint declares no act")


def _caller(request: HttpRequest) -> Actor | None:
    address = request.META.get("REMOTE_ADDR", "")
    if authorization := request.headers.get("Authorization"):
        token = bearer(authorization)
        return actor_by_token(token, address) if token else None
    user = request.user
    if not isinstance(user, User):
        return None
    if _csrf_fails(request):
        raise HttpError(403, "the CSRF token is missing or wrong; send it as X-CSRFToken, or use an API token")
    if task := first_task(request, user):
        what = "set up a second factor: your roles want one" if task == "second-factor" else "change the password"
        raise HttpError(403, f"sign in to the portal first, and {what}")
    return user.actor("api", address)


def _csrf_fails(request: HttpRequest) -> bool:
    # The views are exempt, since tokens need no such check; a session does.
    middleware = CsrfViewMiddleware(_checked)
    middleware.process_request(request)
    return middleware.process_view(request, _checked, (), {}) is not None


def _checked(_request: HttpRequest) -> HttpResponse:
    """Stand for a view that is not exempt."""
    return HttpResponse()


def caller(request: HttpRequest) -> Actor:
    """Return who was admitted."""
    actor: Actor = request.auth  # type: ignore[attr-defined] # ninja puts it there
    return actor
