"""The checker finds what it is there for: each fault planted into a good history is named, and nothing else is."""

from dataclasses import replace
from pathlib import Path

import pytest

from job_history import Evidence, Execution, Findings, check, read_effects, read_executions

EPOCH = 1 << 32


def row(number: int, **changes: object) -> dict[str, object]:
    given = {"id": number + 100, "batch_index": number, "state": "finished", "fence": EPOCH + 1, "attempts": 1}
    return {**given, "error": "", **changes}


def ended(number: int, fence: int = 1, outcome: str = "done") -> dict[str, object]:
    return {"job": number + 100, "fence": EPOCH + fence, "outcome": outcome}


#: Job 0 ran through; job 1 was cut off, given back, deferred, failed, and done the fifth time; job 2 is a dead letter.
GOOD = Evidence(
    wanted={0: "finished", 1: "finished", 2: "in_error"},
    jobs=[row(0), row(1, fence=EPOCH + 5, attempts=3), row(2, state="in_error")],
    attempts=[
        ended(0),
        ended(1, 1, "crashed"),
        ended(1, 2, "released"),
        ended(1, 3, "deferred"),
        ended(1, 4, "failed"),
        ended(1, 5),
        ended(2, 1, "failed"),
    ],
    executions=[
        Execution(100, EPOCH + 1, 1.0, 2.0),
        Execution(101, EPOCH + 1, 1.0),
        Execution(101, EPOCH + 5, 3.0, 4.0),
        Execution(102, EPOCH + 1, 1.0, 1.5),
    ],
    effects=[100, 101],
)


def only(findings: Findings, name: str) -> str:
    """The one class in which something was found, and its lines."""
    assert [each for each in Findings.__slots__ if getattr(findings, each)] == [name], findings.all()
    return "; ".join(getattr(findings, name))


def test_a_good_history_is_good() -> None:
    assert check(GOOD).all() == []


def test_a_row_that_is_gone_is_lost() -> None:
    planted = replace(GOOD, jobs=GOOD.jobs[1:], attempts=GOOD.attempts[1:], executions=GOOD.executions[1:])
    assert "number 0 was enqueued and has no row" in only(check(planted), "lost")


def test_a_finished_job_without_its_effect_is_lost() -> None:
    assert "job 101" in only(check(replace(GOOD, effects=[100])), "lost")


def test_an_execution_that_the_history_does_not_know_is_lost() -> None:
    more = [*GOOD.executions, Execution(100, EPOCH + 2, 5.0)]
    assert "execution under fence" in only(check(replace(GOOD, executions=more)), "lost")


def test_a_fence_that_was_given_and_whose_end_nobody_wrote_is_lost() -> None:
    without = [attempt for attempt in GOOD.attempts if attempt != ended(1, 2, "released")]
    assert "execution 2 ended" in only(check(replace(GOOD, attempts=without)), "lost")


def test_a_job_that_is_finished_and_was_never_done_is_lost() -> None:
    planted = replace(GOOD, attempts=[ended(0, 1, "failed"), *GOOD.attempts[1:]])
    assert "no execution was done" in only(check(planted), "lost")


def test_two_rows_of_one_number_are_doubled() -> None:
    twin = row(0, id=109)
    more = [*GOOD.attempts, ended(9)]
    planted = replace(GOOD, jobs=[*GOOD.jobs, twin], attempts=more, effects=[100, 101, 109])
    assert "number 0 has 2 rows" in only(check(planted), "doubled")


def test_a_job_that_is_done_under_two_fences_is_doubled() -> None:
    jobs = [row(0, fence=EPOCH + 2, attempts=2), *GOOD.jobs[1:]]
    planted = replace(GOOD, jobs=jobs, attempts=[*GOOD.attempts, ended(0, 2)])
    assert "job 100 was done under 2 fences" in only(check(planted), "doubled")


def test_one_fence_settled_twice_is_doubled() -> None:
    planted = replace(GOOD, attempts=[*GOOD.attempts, ended(1, 2, "released")])
    assert "settled 2 times" in only(check(planted), "doubled")


def test_one_fence_executed_twice_is_doubled() -> None:
    again = Execution(100, EPOCH + 1, 2.5, 2.6)
    assert "executed 2 times" in "; ".join(check(replace(GOOD, executions=[*GOOD.executions, again])).doubled)


def test_a_job_settled_under_an_old_fence_is_doubled() -> None:
    jobs = [row(0, fence=EPOCH + 2), *GOOD.jobs[1:]]
    assert "its row has" in "; ".join(check(replace(GOOD, jobs=jobs)).doubled)


def test_an_effect_that_was_applied_twice_is_doubled() -> None:
    assert "the effect of job 100" in only(check(replace(GOOD, effects=[100, 101, 100])), "doubled")


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_a_job_that_did_not_come_to_its_end_is_unsettled(state: str) -> None:
    fence = EPOCH + (1 if state == "running" else 0)
    planted = replace(
        GOOD, jobs=[row(0, state=state, fence=fence, attempts=0), *GOOD.jobs[1:]], attempts=GOOD.attempts[1:],
        executions=GOOD.executions[1:],
    )  # fmt: skip
    assert "job 100" in only(check(planted), "unsettled")


@pytest.mark.parametrize("attempts", [2, 4])
def test_attempts_that_are_not_those_of_the_history_are_miscounted(attempts: int) -> None:
    jobs = [GOOD.jobs[0], row(1, fence=EPOCH + 5, attempts=attempts), GOOD.jobs[2]]
    assert "job 101 counts" in only(check(replace(GOOD, jobs=jobs)), "miscounted")


def test_an_ending_that_nobody_asked_for_is_miscounted() -> None:
    jobs = [*GOOD.jobs[:2], row(2)]
    attempts = [*GOOD.attempts[:-1], ended(2)]
    planted = replace(GOOD, jobs=jobs, attempts=attempts, effects=[100, 101, 102])
    assert "not in_error" in only(check(planted), "miscounted")


def test_an_execution_that_worked_on_into_the_next_one_is_seen() -> None:
    executions = [*GOOD.executions[:1], Execution(101, EPOCH + 1, 1.0, 3.25), *GOOD.executions[2:]]
    assert "0.250 s" in only(check(replace(GOOD, executions=executions)), "overlapping")


def test_what_handlers_wrote_down_is_read_back(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("begin 1 4294967297 1.5\nbegin 2 4294967297 1.75\nend 1 4294967297 2.5\n", encoding="ascii")
    assert read_executions(log) == [Execution(1, EPOCH + 1, 1.5, 2.5), Execution(2, EPOCH + 1, 1.75)]
    assert read_executions(tmp_path / "absent") == []
    (tmp_path / "effects" / "0").mkdir(parents=True)
    for name in ("1.4294967297", "1.4294967298", "2.4294967297"):
        (tmp_path / "effects" / "0" / name).touch()
    assert sorted(read_effects(tmp_path / "effects")) == [1, 1, 2]
