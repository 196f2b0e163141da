"""Addresses of batches."""

from django.urls import path

from central_dispatch.portal.pages.batches import views

urlpatterns = [
    path("", views.listing, name="batches"),
    path("<int:number>/", views.detail, name="batch"),
    path("<int:number>/retry/", views.retry, name="batch-retry"),
    path("<int:number>/cancel/", views.cancel, name="batch-cancel"),
    path("<int:number>/interrupt/", views.interrupt, name="batch-interrupt"),
]
