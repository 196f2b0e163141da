"""The switch between light, dark, and what the machine says: kept in a cookie, so that the first paint is right."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from central_dispatch.portal.access import requires

THEMES = ("auto", "light", "dark")
_COOKIE = "central-dispatch-theme"
_YEAR_S = 365 * 86_400


def theme_of(request: HttpRequest) -> str:
    """Return the theme that this browser asked for."""
    chosen = request.COOKIES.get(_COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


@requires("public")
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep the choice and go back; the live pages need no way back."""
    chosen = request.POST.get("theme", "auto")
    response = HttpResponse(status=204) if request.headers.get("HX-Request") else HttpResponseRedirect(_back(request))
    response.set_cookie(
        _COOKIE, chosen if chosen in THEMES else "auto", max_age=_YEAR_S, samesite="Lax", secure=True, httponly=True
    )
    return response


def _back(request: HttpRequest) -> str:
    given = request.POST.get("next", "/")
    return given if url_has_allowed_host_and_scheme(given, allowed_hosts=None) else "/"
