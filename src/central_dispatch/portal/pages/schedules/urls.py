"""Addresses of schedules."""

from django.urls import path

from central_dispatch.portal.pages.schedules import views

urlpatterns = [
    path("", views.listing, name="schedules"),
    path("new/", views.new, name="schedule-new"),
    path("<str:name>/", views.edit, name="schedule"),
    path("<str:name>/run/", views.run, name="schedule-run"),
    path("<str:name>/switch/", views.switch, name="schedule-switch"),
    path("<str:name>/remove/", views.remove, name="schedule-remove"),
]
