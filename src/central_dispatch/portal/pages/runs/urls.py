"""Addresses of runs."""

from django.urls import path

from central_dispatch.portal.pages.runs import views

urlpatterns = [
    path("", views.listing, name="runs"),
    path("<str:run_id>/", views.detail, name="run"),
    path("<str:run_id>/back-out/", views.back_out, name="run-back-out"),
    path("<str:run_id>/retry/", views.retry, name="run-retry"),
    path("<str:run_id>/acknowledge/", views.acknowledge, name="run-acknowledge"),
]
