"""Addresses of accounts."""

from django.urls import path

from central_dispatch.portal.pages.people import actions, views

urlpatterns = [
    path("", views.listing, name="users"),
    path("new/", views.new, name="user-new"),
    path("<int:user_id>/", views.detail, name="user"),
    path("<int:user_id>/edit/", views.edit, name="user-edit"),
    path("<int:user_id>/activate/", actions.activate, name="user-activate"),
    path("<int:user_id>/deactivate/", actions.deactivate, name="user-deactivate"),
    path("<int:user_id>/password/", actions.new_password, name="user-password"),
    path("<int:user_id>/second-factor/reset/", actions.reset_second_factor, name="user-second-factor"),
    path("<int:user_id>/link/remove/", actions.unlink, name="user-unlink"),
    path("<int:user_id>/sessions/end/", actions.sign_out, name="user-sign-out"),
    path("<int:user_id>/sessions/<str:session_id>/end/", actions.sign_out, name="user-session-end"),
    path("<int:user_id>/remove/", actions.remove, name="user-remove"),
]
