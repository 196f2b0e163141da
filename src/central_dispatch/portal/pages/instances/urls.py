"""Addresses of instances."""

from django.urls import path

from central_dispatch.portal.pages.instances import actions, edit, views

urlpatterns = [
    path("", views.listing, name="instances"),
    path("new/", edit.new, name="instance-new"),
    path("<str:instance_id>/", views.detail, name="instance"),
    path("<str:instance_id>/edit/", edit.edit, name="instance-edit"),
    path("<str:instance_id>/plan/", actions.plan, name="instance-plan"),
    path("<str:instance_id>/deploy/", actions.deploy, name="instance-deploy"),
    path("<str:instance_id>/delete/", actions.delete, name="instance-delete"),
    path("<str:instance_id>/inventory/", actions.inventory, name="instance-inventory"),
    path("<str:instance_id>/clear/", actions.clear, name="instance-clear"),
]
