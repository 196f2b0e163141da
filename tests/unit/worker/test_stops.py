"""How an ending under way goes on, and what an execution was."""

import pytest

from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.worker import stops

GRACE_S = 10.0


def test_an_interrupt_asks_then_terminates_at_half_the_grace_time_then_kills() -> None:
    stop = stops.interrupt("anna", 100.0, GRACE_S)
    assert [stops.due(stop, at) for at in (100.0, 104.9, 105.0, 109.9, 110.0)] == [
        None,
        None,
        "terminate",
        "terminate",
        "kill",
    ]


def test_each_act_is_due_once() -> None:
    stop = stops.interrupt("anna", 0.0, GRACE_S)
    terminated = stops.replace(stop, done="terminate")
    assert stops.due(terminated, 9.0) is None
    assert stops.due(terminated, 10.0) == "kill"
    assert stops.due(stops.replace(stop, done="kill"), 11.0) is None


def test_a_lost_fence_kills_at_once() -> None:
    assert stops.due(stops.lost(5.0), 5.0) == "kill"


def test_of_two_reasons_the_weightier_counts_and_the_earlier_time_holds() -> None:
    drain = stops.drain(0.0, 4.0)
    both = stops.joined(drain, stops.interrupt("anna", 1.0, 100.0))
    assert (both.reason, both.by, both.kill_at) == (stops.Reason.INTERRUPT, "anna", 4.0)
    assert stops.joined(both, stops.drain(1.0, 1.0)).reason == stops.Reason.INTERRUPT


@pytest.mark.parametrize(
    "stop", [None, stops.drain(0, 1), stops.over_time(5, 0, 1), stops.interrupt("anna", 0, 1), stops.lost(0)]
)
def test_work_that_is_done_is_done_whatever_was_wished(stop: stops.Stop | None) -> None:
    assert stops.verdict(Done({"n": 1}), "", stop) == Done({"n": 1})


@pytest.mark.parametrize("answer", [Failed("x"), Crashed("x"), Deferred("x"), Released(), Stopped("handler"), None])
def test_an_interrupted_execution_is_interrupted_by_whoever_wanted_it(answer: Outcome | None) -> None:
    found = stops.verdict(answer, "its process was ended by SIGKILL", stops.interrupt("anna", 0, 1))
    assert isinstance(found, Stopped)
    assert found.by == "anna"


@pytest.mark.parametrize("answer", [Failed("x"), Released(), None])
def test_an_execution_beyond_its_time_is_a_crash(answer: Outcome | None) -> None:
    found = stops.verdict(answer, "its process was ended by SIGKILL", stops.over_time(5, 0, 1))
    assert isinstance(found, Crashed)
    assert "time limit of 5 s" in found.error


def test_a_failure_of_its_own_during_a_drain_counts_but_one_by_our_signal_does_not() -> None:
    drain = stops.drain(0, 10)
    assert stops.verdict(Failed("disk full"), "", drain) == Failed("disk full")
    assert stops.verdict(Failed("terminated"), "", stops.replace(drain, done="terminate")) == Released()
    assert stops.verdict(None, "SIGKILL", stops.replace(drain, done="kill")) == Released()


@pytest.mark.parametrize("answer", [Released(), Stopped("me")])
def test_a_handler_cannot_release_or_interrupt_itself_for_ever(answer: Outcome) -> None:
    assert isinstance(stops.verdict(answer, "", None), Failed)


def test_a_child_that_ended_without_an_answer_crashed() -> None:
    assert stops.verdict(None, "its process was ended by SIGSEGV", None) == Crashed("its process was ended by SIGSEGV")
