"""Bounds of a queue's settings."""

import math
from dataclasses import replace

import pytest

from central_dispatch.jobs.queue_settings import QueueSettings


def test_the_defaults_are_allowed() -> None:
    assert QueueSettings().problems() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_attempts", 0),
        ("max_attempts", 1001),
        ("retry_delay_s", -1),
        ("retry_delay_s", math.nan),
        ("max_retry_delay_s", math.inf),
        ("deferral_delay_s", 0),
        ("max_deferrals", -1),
        ("time_limit_s", 0.5),
        ("grace_s", -0.1),
        ("retention_h", 0),
        ("concurrency", 0),
        ("concurrency", 10_001),
        ("period_s", 0),
        ("period_s", math.nan),
        ("period_s", math.inf),
    ],
)
def test_a_value_out_of_bounds_is_named_with_what_is_allowed(field: str, value: float) -> None:
    ((name, allowed),) = replace(QueueSettings(), **{field: value}).problems()  # type: ignore[arg-type] # any field
    assert name == field
    assert allowed.startswith("use ")


@pytest.mark.parametrize(
    ("field", "value"), [("concurrency", None), ("concurrency", 1), ("period_s", None), ("period_s", 1), ("grace_s", 0)]
)
def test_the_edges_are_allowed(field: str, value: float | None) -> None:
    assert replace(QueueSettings(), **{field: value}).problems() == []  # type: ignore[arg-type] # any field
