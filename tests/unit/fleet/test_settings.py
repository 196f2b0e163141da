"""What is stored of settings may be another release's; what this one understands of it still holds."""

import pytest

from central_dispatch.fleet import settings
from central_dispatch.fleet.actor import Role
from central_dispatch.fleet.models import Setting

pytestmark = pytest.mark.usefixtures("database")


def test_a_role_that_this_release_does_not_know_leaves_the_rule_for_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Setting.objects.create(pk="login", value={"second_factor_roles": ["emperor", "operator", 7]})
    for _ in range(2):
        rules = settings.read(settings.LoginRules)
        assert rules.wants_second_factor(Role.OPERATOR | Role.VIEWER)
        assert not rules.wants_second_factor(Role.VIEWER)
    assert caplog.text.count("emperor") == 1, "said once, not at every request"


def test_a_value_out_of_bounds_takes_no_other_with_it() -> None:
    Setting.objects.create(pk="retention", value={"jobs_days": 0, "looks_days": 7, "of_another_release": 1})
    assert settings.read(settings.Retention) == settings.Retention(looks_days=7)
