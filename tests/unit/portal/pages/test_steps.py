import dispatchers  # noqa: F401 makes Django ready
from central_dispatch.fleet.models import Run, RunStep
from central_dispatch.portal.pages.runs.steps import back_out_steps, shown_steps

PROBLEM = {"what": "it failed"}


def rows(*states: str, tail: str = "untouched") -> list[RunStep]:
    made = [
        RunStep(part="steps", index=index, title=f"step {index}", state=state) for index, state in enumerate(states)
    ]
    return [*made, RunStep(part="tail", index=0, title="tail", state=tail)]


def run(state: str = "running") -> Run:
    ended = state in {"committed", "backed_out"}
    return Run(state=state, open_key=None if ended else "key")


def test_a_run_that_goes_forward_has_no_back_out() -> None:
    assert back_out_steps(shown_steps(run(), rows("done", "open", "untouched"))) == []


def test_a_back_out_lists_the_touched_steps_last_first() -> None:
    steps = shown_steps(run("backing_out"), rows("done", "undoing", "undone", "untouched"))
    assert [step.row.index for step in back_out_steps(steps)] == [2, 1, 0]
    assert [step.undo_words for step in back_out_steps(steps)] == ["undone", "is being undone", "still to be undone"]


def test_a_tail_that_is_stuck_after_the_commit_is_no_back_out() -> None:
    assert back_out_steps(shown_steps(run("stuck"), rows("done", "done", tail="stuck"))) == []


def test_the_step_under_way_and_the_one_that_failed_open_by_themselves() -> None:
    under_way = shown_steps(run(), rows("done", "open"))
    assert [step.opens for step in under_way] == ["", "open", ""]
    failed = rows("undone", "undone")
    failed[1].problem_json = PROBLEM
    shown = shown_steps(run("backed_out"), failed)
    assert [step.opens for step in shown] == ["", "open", ""]
    assert shown[1].state_words == "failed, undone"


def test_nothing_is_current_once_the_run_has_ended() -> None:
    assert not any(step.is_current for step in shown_steps(run("committed"), rows("done", "open")))
