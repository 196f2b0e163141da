"""Every address of the portal that Django serves. `/live` and `/host/v1/claim` are served in `portal.asgi`."""

from django.urls import include, path

from central_dispatch.portal.api.site import namespace, patterns
from central_dispatch.portal.health import healthz

handler403 = "central_dispatch.portal.errors.forbidden"
handler404 = "central_dispatch.portal.errors.not_found"
handler500 = "central_dispatch.portal.errors.server_error"

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("host/v1/", include("central_dispatch.portal.host_api.urls")),
    path("api/v1/", (patterns, "api", namespace)),
    path("", include("central_dispatch.portal.pages.urls")),
]
