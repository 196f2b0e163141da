"""Every address of the portal that Django serves. `/live` and `/host/v1/claim` are served in `portal.asgi`."""

from django.urls import include, path

urlpatterns = [
    path("", include("central_dispatch.portal.pages.urls")),
]
