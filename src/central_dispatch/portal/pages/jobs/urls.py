"""Addresses of jobs."""

from django.urls import path

from central_dispatch.portal.pages.jobs import acts, views

urlpatterns = [
    path("", views.listing, name="jobs"),
    path("retry/", acts.retry_many, name="jobs-retry"),
    path("interrupt/", acts.interrupt_many, name="jobs-interrupt"),
    path("cancel/", acts.cancel_many, name="jobs-cancel"),
    path("<int:number>/", views.detail, name="job"),
    path("<int:number>/output/<int:fence>/", views.output, name="job-output"),
    path("<int:number>/retry/", acts.retry, name="job-retry"),
    path("<int:number>/interrupt/", acts.interrupt, name="job-interrupt"),
    path("<int:number>/cancel/", acts.cancel, name="job-cancel"),
]
