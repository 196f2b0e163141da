"""Addresses of queue workers."""

from django.urls import path

from central_dispatch.portal.pages.queue_workers import assignments, views

urlpatterns = [
    path("", views.listing, name="queue-workers"),
    path("assignments/new/", assignments.new, name="assignment-new"),
    path("assignments/<str:name>/", assignments.edit, name="assignment"),
    path("assignments/<str:name>/remove/", assignments.remove, name="assignment-remove"),
    path("<str:key>/", views.detail, name="queue-worker"),
]
