"""The pages for what cannot be shown."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from central_dispatch.portal.access import requires


@requires("public")
def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: say which role it takes, when that is known."""
    return render(request, "errors/403.html", {"reason": str(exception)}, status=403)


@requires("public")
def not_found(request: HttpRequest, _exception: Exception) -> HttpResponse:
    """404."""
    return render(request, "errors/404.html", status=404)


@requires("public")
def server_error(_request: HttpRequest) -> HttpResponse:
    """500: touch neither the database nor the session, either may be what failed."""
    return HttpResponse(_FAILED, status=500)


@requires("public")
def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form that is too old."""
    return render(request, "errors/csrf.html", {"reason": reason}, status=403)


_FAILED = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Something failed</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/static/portal/portal.css"></head><body class="alone"><main>
<p class="code">500</p><h1>Something failed in the portal</h1>
<p>It is in the dispatcher’s log. Runs on hosts are not touched by it: they go on and report later.</p>
<p><a href="/">Back to the overview</a></p></main></body></html>"""
