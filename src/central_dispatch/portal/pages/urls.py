"""Addresses of the pages."""

from django.urls import include, path

from central_dispatch.portal.pages import account, audit, login, overview, theme

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("login/", login.login, name="login"),
    path("logout/", login.logout, name="logout"),
    path("theme/", theme.choose, name="theme"),
    path("account/", account.account, name="account"),
    path("instances/", include("central_dispatch.portal.pages.instances.urls")),
    path("runs/", include("central_dispatch.portal.pages.runs.urls")),
    path("settings/", overview.settings_menu, name="settings"),
    path("settings/central-dispatch/", include("central_dispatch.portal.pages.workers.urls")),
    path("audit/", audit.audit, name="audit"),
]
