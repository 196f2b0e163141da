from collections.abc import Callable

import pytest
from django.test import Client

from central_dispatch.fleet import settings
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.audit.models import AuditEntry

RETENTION = {"jobs_days": "7", "looks_days": "8", "events_per_run": "900"}


@pytest.fixture
def root(administrator: Actor, browser: Callable[..., Client]) -> Client:
    return browser(User.objects.get(pk=administrator.user_id), csrf=False)


def test_rules_are_changed_on_the_page_hold_at_once_and_are_on_record(root: Client) -> None:
    assert root.get("/settings/rules/", secure=True).status_code == 200
    answer = root.post("/settings/rules/", {**RETENTION, "second_factor_roles": ["operator"]}, secure=True)
    assert answer.status_code == 302
    kept = settings.read(settings.Retention)
    assert (kept.jobs_days, kept.looks_days, kept.events_per_run) == (7, 8, 900)
    assert settings.read(settings.LoginRules).wants_second_factor(Role.OPERATOR | Role.VIEWER)
    assert not settings.read(settings.LoginRules).wants_second_factor(Role.VIEWER)
    entry = AuditEntry.objects.get(what="settings.change", title="retention")
    assert entry.before == {"jobs_days": 30, "looks_days": 30, "events_per_run": 2000}
    assert entry.after == {"jobs_days": 7, "looks_days": 8, "events_per_run": 900}


def test_where_one_rule_is_refused_none_is_kept(root: Client) -> None:
    values = {**RETENTION, "looks_days": "0", "second_factor_roles": ["operator"]}
    assert root.post("/settings/rules/", values, secure=True).status_code == 422
    assert settings.read(settings.LoginRules) == settings.LoginRules()


@pytest.mark.parametrize("bad", [{"jobs_days": "0"}, {"events_per_run": "x"}, {"second_factor_roles": ["emperor"]}])
def test_what_is_no_good_is_said_at_its_field_and_is_not_kept(root: Client, bad: dict[str, object]) -> None:
    assert root.post("/settings/rules/", {**RETENTION, **bad}, secure=True).status_code == 422
    assert settings.read(settings.LoginRules) == settings.LoginRules()
    if "jobs_days" in bad:
        assert settings.read(settings.Retention).jobs_days == 30
