"""Addresses of the host API; `claim` is served in `portal.asgi`."""

from django.urls import path, re_path

from central_dispatch.portal.host_api import views

urlpatterns = [
    path("enroll", views.enroll, name="host-enroll"),
    path("session", views.session, name="host-session"),
    path("heartbeat", views.heartbeat, name="host-heartbeat"),
    re_path(r"^runs/(?P<run>[0-9a-f]{32})/events$", views.events, name="host-events"),
]
