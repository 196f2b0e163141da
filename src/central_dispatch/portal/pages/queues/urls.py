"""Addresses of queues."""

from django.urls import path

from central_dispatch.portal.pages.queues import views

urlpatterns = [
    path("", views.listing, name="queues"),
    path("<str:name>/", views.detail, name="queue"),
    path("<str:name>/pause/", views.pause, name="queue-pause"),
    path("<str:name>/resume/", views.resume, name="queue-resume"),
    path("<str:name>/requeue/", views.requeue, name="queue-requeue"),
    path("<str:name>/purge/", views.purge, name="queue-purge"),
    path("<str:name>/delete/", views.delete, name="queue-delete"),
]
