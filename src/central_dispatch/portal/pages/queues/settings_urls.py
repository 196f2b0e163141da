"""Addresses of the general settings."""

from django.urls import path

from central_dispatch.portal.pages.queues import settings

urlpatterns = [
    path("", settings.listing, name="queue-settings"),
    path("<str:name>/", settings.edit, name="queue-settings-edit"),
]
