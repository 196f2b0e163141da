"""Addresses of queue workers."""

from django.urls import path

from central_dispatch.portal.pages.queue_workers import views

urlpatterns = [
    path("", views.listing, name="queue-workers"),
    path("<str:key>/", views.detail, name="queue-worker"),
]
