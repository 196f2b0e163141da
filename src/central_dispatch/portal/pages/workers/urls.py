"""Addresses of the workers' settings."""

from django.urls import path

from central_dispatch.portal.pages.workers import views

urlpatterns = [
    path("", views.listing, name="workers"),
    path("new/", views.new, name="worker-new"),
    path("<str:worker_id>/", views.detail, name="worker"),
    path("<str:worker_id>/edit/", views.edit, name="worker-edit"),
    path("<str:worker_id>/enrol/", views.invite, name="worker-invite"),
    path("<str:worker_id>/waiting/", views.waiting, name="worker-waiting"),
    path("<str:worker_id>/revoke/", views.revoke, name="worker-revoke"),
    path("<str:worker_id>/accept/", views.accept, name="worker-accept"),
]
