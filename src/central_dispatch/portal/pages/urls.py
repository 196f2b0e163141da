"""Addresses of the pages."""

from django.urls import include, path

from central_dispatch.portal.pages import audit, login, overview, provider, rules, theme, tokens
from central_dispatch.portal.pages.account import second_factor
from central_dispatch.portal.pages.account import views as account

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("login/", login.login, name="login"),
    path("login/code/", login.code, name="login-code"),
    path("login/provider/", provider.begin, name="login-provider"),
    path("login/provider/back/", provider.back, name="login-provider-back"),
    path("logout/", login.logout, name="logout"),
    path("theme/", theme.choose, name="theme"),
    path("account/", account.account, name="account"),
    path("account/link/remove/", provider.unlink, name="unlink"),
    path("account/confirm/", account.confirm, name="confirm"),
    path("account/sessions/<str:session_id>/end/", account.end_session, name="session-end"),
    path("account/second-factor/", second_factor.set_up, name="second-factor"),
    path("account/second-factor/remove/", second_factor.remove, name="second-factor-remove"),
    path("account/recovery-codes/", second_factor.recovery_codes, name="recovery-codes"),
    path("instances/", include("central_dispatch.portal.pages.instances.urls")),
    path("runs/", include("central_dispatch.portal.pages.runs.urls")),
    path("worker-manager/jobs/", include("central_dispatch.portal.pages.jobs.urls")),
    path("worker-manager/queues/", include("central_dispatch.portal.pages.queues.urls")),
    path("worker-manager/settings/", include("central_dispatch.portal.pages.queues.settings_urls")),
    path("worker-manager/batches/", include("central_dispatch.portal.pages.batches.urls")),
    path("worker-manager/schedules/", include("central_dispatch.portal.pages.schedules.urls")),
    path("worker-manager/workers/", include("central_dispatch.portal.pages.queue_workers.urls")),
    path("settings/", overview.settings_menu, name="settings"),
    path("settings/central-dispatch/", include("central_dispatch.portal.pages.workers.urls")),
    path("settings/rules/", rules.rules, name="rules"),
    path("users/", include("central_dispatch.portal.pages.people.urls")),
    path("tokens/", tokens.listing, name="tokens"),
    path("tokens/new/", tokens.new, name="token-new"),
    path("tokens/<int:token_id>/revoke/", tokens.revoke, name="token-revoke"),
    path("audit/", audit.audit, name="audit"),
]
