"""What becomes of a job after an execution."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.jobs.job import MAX_ERROR_CHARACTERS, Claim
from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.settling import retry_delay, settle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

lucks = st.floats(0, 1)
settings_ = st.builds(
    QueueSettings,
    max_attempts=st.integers(1, 1000),
    retry_delay_s=st.floats(0, 7 * 86_400),
    backoff=st.sampled_from(["fixed", "exponential"]),
    max_retry_delay_s=st.floats(0, 30 * 86_400),
    deferral_delay_s=st.floats(0.1, 86_400),
    max_deferrals=st.integers(0, 1_000_000),
    retention_h=st.floats(1, 24 * 365),
)
texts = st.text(max_size=50) | st.just("x" * (MAX_ERROR_CHARACTERS + 1000))
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Done),
    st.builds(Failed, texts, st.booleans()),
    st.builds(Crashed, texts),
    st.builds(Deferred, texts, st.none() | st.floats(0, 86_400)),
    st.builds(Stopped, st.just("eve"), texts),
    st.builds(Released),
)


def claim_of(attempts: int = 0, deferrals: int = 0) -> Claim:
    return Claim(
        job=1,
        kind="ftp",
        payload={},
        payload_version=1,
        fence=1,
        attempts=attempts,
        deferrals=deferrals,
        priority=5,
    )


@given(st.integers(1, 10_000), settings_, lucks)
def test_a_delay_is_never_negative_and_never_above_its_bound(n: int, settings: QueueSettings, luck: float) -> None:
    delay = retry_delay(n, settings, luck).total_seconds()
    bound = settings.retry_delay_s if settings.backoff == "fixed" else settings.max_retry_delay_s
    assert 0 <= delay <= bound + 1e-6


@given(st.integers(1, 200), lucks)
def test_an_exponential_delay_is_between_half_and_whole_of_its_power(n: int, luck: float) -> None:
    settings = QueueSettings(retry_delay_s=2, backoff="exponential", max_retry_delay_s=30 * 86_400)
    whole = min(2.0 * 2 ** (n - 1), 30 * 86_400)
    assert whole / 2 - 1e-6 <= retry_delay(n, settings, luck).total_seconds() <= whole + 1e-6


@given(st.integers(0, 999), st.integers(0, 999_999), outcomes, settings_, lucks)
def test_the_parts_of_a_settlement_fit_together(
    attempts: int, deferrals: int, outcome: Outcome, settings: QueueSettings, luck: float
) -> None:
    claim = claim_of(attempts, deferrals)
    found = settle(claim, outcome, settings, NOW, luck)
    counted = isinstance(outcome, Done | Failed | Crashed)
    assert found.attempts == attempts + counted
    assert (found.due_at is not None) == (found.state == "waiting")
    assert (found.expires_at is not None) == (found.state == "in_error")
    assert found.due_at is None or found.due_at >= NOW
    assert len(found.error) <= MAX_ERROR_CHARACTERS
    if found.state == "waiting" and counted:
        assert found.attempts < settings.max_attempts


@given(settings_, lucks)
def test_attempts_never_exceed_the_maximum(settings: QueueSettings, luck: float) -> None:
    claim, executions = claim_of(), 0
    while True:
        executions += 1
        found = settle(claim, Failed("no"), settings, NOW, luck)
        if found.state != "waiting":
            break
        claim = claim_of(found.attempts, found.deferrals)
    assert (executions, found.state) == (settings.max_attempts, "in_error")


def test_deferrals_in_a_row_are_bounded_and_anything_else_begins_anew() -> None:
    settings = QueueSettings(max_deferrals=2)
    claim = claim_of(attempts=1, deferrals=1)
    second = settle(claim, Deferred("locked"), settings, NOW, 0)
    assert (second.state, second.deferrals, second.attempts) == ("waiting", 2, 1)
    third = settle(claim_of(1, 2), Deferred("locked"), settings, NOW, 0)
    assert (third.state, third.error) == ("in_error", "deferred 2 times in a row: locked")
    assert settle(claim_of(1, 2), Failed("no"), settings, NOW, 0).deferrals == 0


@pytest.mark.parametrize(("asked", "delay"), [(None, 5.0), (90.0, 90.0), (0.0, 0.0)])
def test_a_handler_may_say_when_to_come_back(asked: float | None, delay: float) -> None:
    found = settle(claim_of(), Deferred("quota", asked), QueueSettings(), NOW, 0)
    assert found.due_at == NOW + timedelta(seconds=delay)


def test_what_no_further_attempt_can_help_is_dead_at_once_for_its_retention() -> None:
    found = settle(claim_of(), Failed("bad payload", retryable=False), QueueSettings(retention_h=10), NOW, 0)
    assert (found.state, found.expires_at) == ("in_error", NOW + timedelta(hours=10))


@given(st.integers(0, 999), st.integers(0, 999), settings_, lucks)
def test_a_release_changes_nothing_but_the_state(n: int, deferrals: int, settings: QueueSettings, luck: float) -> None:
    found = settle(claim_of(n, deferrals), Released(), settings, NOW, luck)
    assert (found.state, found.attempts, found.deferrals, found.due_at) == ("waiting", n, deferrals, NOW)
