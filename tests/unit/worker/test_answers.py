"""Outcomes travel unchanged, and what is no outcome is a crash."""

from typing import Any

import pytest

from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.worker import answers


@pytest.mark.parametrize(
    "outcome",
    [Done({"a": [1]}), Failed("x", retryable=False), Deferred("y"), Deferred("y", 2.5), Crashed("z"), Stopped("b", "w"),
     Released()],
)  # fmt: skip
def test_an_outcome_travels_unchanged(outcome: Outcome) -> None:
    assert answers.from_json(answers.to_json(outcome)) == outcome


@pytest.mark.parametrize(
    "value",
    [{}, {"outcome": "well"}, {"outcome": "done", "result": 3}, {"outcome": "deferred", "why": "x", "after_s": -1},
     {"outcome": "failed", "error": "x"}],
)  # fmt: skip
def test_an_answer_that_makes_no_sense_is_a_crash(value: dict[str, Any]) -> None:
    assert isinstance(answers.from_json(value), Crashed)
