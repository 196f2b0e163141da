"""Whatever comes together, in whatever order: an execution is settled once, and its outcome says what happened."""

import os
import selectors
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from central_dispatch.jobs.job import Claim
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.worker import answers, stops
from central_dispatch.worker.children import Child, Gone
from central_dispatch.worker.clerk import Ended
from central_dispatch.worker.executions import Executions, Rules
from central_dispatch.worker.output import HEAD_BYTES, TAIL_BYTES

GRACE_S, LIMIT_S, TICK_S = 8.0, 30.0, 0.5
CLAIM = Claim(job=7, kind="q", payload={}, payload_version=1, fence=3, attempts=0, deferrals=0, priority=5)
Event = Literal["interrupt", "interrupt of another", "drain", "hurry", "lost", "tick"]
ANSWERS: dict[str, Outcome] = {
    "done": Done({"x": 1}),
    "failed": Failed("no"),
    "deferred": Deferred("later"),
    "released": Released(),
    "stopped": Stopped("me"),
}


class SilentChannel:
    ended = True

    def receive(self) -> list[dict[str, Any]]:
        return []


@dataclass
class World:
    """Doubles of children and clerk, and a child that behaves as a handler may. Time is a number."""

    deaf: bool  # to SIGTERM
    orders: list[tuple[str, float]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    slots: int = 1
    now: float = 0.0

    # As Children.

    def give(self, child: Child, order: dict[str, Any]) -> None:
        assert not child.leaving, "a child that a signal is on its way to gets no other job"
        child.busy = True
        assert (order["job"], order["fence"]) == (CLAIM.job, CLAIM.fence)

    def say(self, _child: Child, message: dict[str, Any]) -> None:
        assert message == {"stop": True, "job": CLAIM.job, "fence": CLAIM.fence}
        self.asked.append(self.now)

    def terminate(self, _child: Child) -> None:
        self.orders.append(("terminate", self.now))

    def kill(self, child: Child) -> None:
        child.leaving = True
        self.orders.append(("kill", self.now))

    def forget(self, _child: Child) -> None:
        """Nothing to close."""

    # As Clerk.

    def known_settings(self, _queue: str) -> QueueSettings:
        return QueueSettings(grace_s=GRACE_S, time_limit_s=LIMIT_S)

    def claim_ahead(self, _jobs: int) -> None:
        """Not looked at here."""

    def ended_with(self, ended: Ended) -> None:
        self.ended.append(ended)


class PipelessChild(Child):
    __slots__ = ()

    def drain(self) -> bytes | None:
        return None


@dataclass
class Run:
    """One execution from its order to its end, with what was wished meanwhile."""

    world: World
    wished: dict[str, float] = field(default_factory=dict)  # what, and when first
    answered: str = ""  # what the handler gave, if it came to that
    over_time: bool = False

    def __post_init__(self) -> None:
        world: Any = self.world
        world_as_clerk: Any = _AsClerk(self.world)
        kinds = {"q": Kind(name="q", handler="-", says="-")}
        self.executions = Executions(
            Rules(directory=Path("/w"), kinds=kinds), selectors.DefaultSelector(), world_as_clerk, world
        )
        channel: Any = SilentChannel()
        self.child = PipelessChild(0, channel, -1, pid=99)
        self.executions.begin(self.child, CLAIM, 0.0)

    def act(self, event: Event, now: float) -> None:
        self.world.now = now
        match event:
            case "interrupt":
                self.executions.interrupt({CLAIM.job: "eve", 8: "eve"}, now)
            case "interrupt of another":
                self.executions.interrupt({8: "eve"}, now)
            case "lost":
                self.executions.interrupt({CLAIM.job: ""}, now)
            case "drain":
                self.executions.drain(now)
            case "hurry":
                self.executions.hurry(now)
            case "tick":
                self.over_time = self.over_time or (now > LIMIT_S and not self.wished)
                self.executions.tick(now)
        if event not in {"tick", "interrupt of another"}:
            self.wished.setdefault(event, now)

    def answer(self, name: str) -> None:
        self.answered = name
        outcome = ANSWERS[name] if name in ANSWERS else Crashed("ended by SIGTERM")
        message = {"answer": answers.to_json(outcome), "job": CLAIM.job, "fence": CLAIM.fence, "recycle": False}
        self.executions._take_in(self.child, message)

    def die(self, how: str = "its process was ended by SIGKILL") -> None:
        self.executions.bury(Gone(self.child, how))

    def has(self, order: str) -> bool:
        return any(name == order for name, _at in self.world.orders)


class _AsClerk:
    """The clerk's side of the world: its `ended` is a method."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.known_settings = world.known_settings
        self.claim_ahead = world.claim_ahead

    def printed(self, _claim: Claim, _so_far: Callable[[], bytes]) -> None:
        """Not looked at here."""

    def ended(self, ended: Ended) -> None:
        self._world.ended_with(ended)


def _moments(events: list[tuple[float, Event]], end_at: float) -> Iterator[tuple[float, Event]]:
    """The events in their order, with a tick every half second, until all that could happen has."""
    ticks: list[tuple[float, Event]] = [(step * TICK_S, "tick") for step in range(1, int((end_at + 60) / TICK_S))]
    return iter(sorted([*events, *ticks], key=lambda moment: moment[0]))


events = st.lists(
    st.tuples(
        st.floats(0, 40), st.sampled_from(["interrupt", "interrupt", "interrupt of another", "drain", "hurry", "lost"])
    ),
    max_size=4,
)


@settings(max_examples=600, deadline=None)
@given(
    events=events,
    ending=st.sampled_from(["done", "failed", "deferred", "released", "stopped", "crash", "never"]),
    end_at=st.floats(0, 45),
    deaf=st.booleans(),
)
def test_the_outcome_says_what_happened_in_every_order(
    events: list[tuple[float, Event]], ending: str, end_at: float, *, deaf: bool
) -> None:
    run = Run(World(deaf=deaf))
    died_by = ""
    for now, event in _moments(events, end_at):
        if run.world.ended:
            break
        if ending != "never" and now >= end_at:
            run.world.now = end_at
            run.die("its process ended with exit code 7") if ending == "crash" else run.answer(ending)
            died_by = ending
            break
        run.act(event, now)
        if run.has("kill"):
            died_by = "kill"
            run.die()
        elif run.has("terminate") and not deaf:
            died_by = "term"
            run.answer("term")
    else:
        assert ending == "never", "whatever was to come, came"
        assert not run.wished, "what was to end did not"
        assert run.over_time, "and what ran too long was not ended"
    _check(run, died_by)


def _check(run: Run, died_by: str) -> None:
    [ended] = run.world.ended
    found, wished = ended.outcome, run.wished.keys() - {"hurry"}
    if died_by == "done":
        assert found == Done({"x": 1}), "work that is done is done"
    elif "lost" in wished:
        assert isinstance(found, Released)
    elif "interrupt" in wished:
        assert isinstance(found, Stopped)
        assert found.by == "eve"
        assert ("killed" in found.why) == (died_by == "kill")
    elif run.over_time:
        assert isinstance(found, Crashed)
        assert "time limit" in found.error
    elif "drain" in wished or "hurry" in run.wished:
        own = died_by in {"failed", "deferred", "crash"} and not run.has("terminate") and not run.has("kill")
        assert isinstance(found, Failed | Crashed | Deferred if own else Released)
    elif died_by in {"released", "stopped"}:
        assert isinstance(found, Failed), "a handler has no say in that"
    elif died_by == "crash":
        assert found == Crashed("its process ended with exit code 7")
    else:
        assert found == ANSWERS[died_by]
    _check_times(run, died_by)


def _check_times(run: Run, died_by: str) -> None:
    at_once = [run.wished[wish] for wish in ("hurry", "lost") if wish in run.wished]
    orders = [order for order, _at in run.world.orders]
    assert orders in (["terminate"], ["terminate", "kill"], ["kill"], []), "each act once"
    if died_by == "kill":
        wanted = min([*at_once, *(asked + GRACE_S for asked in run.world.asked)])
        [killed_at] = [at for order, at in run.world.orders if order == "kill"]
        assert wanted <= killed_at <= wanted + TICK_S, "after its grace time, or at once where that is wished"
    assert len(run.world.asked) <= 1, "it is asked once"
    if run.has("terminate") and died_by not in {"kill", "crash"}:
        assert run.child.leaving, "a signal that comes late hits no other job"


def test_a_stop_that_was_for_an_execution_before_is_told_apart_by_its_fence() -> None:
    run = Run(World(deaf=False))
    run.act("interrupt", 1.0)
    message = {"answer": answers.to_json(Done()), "job": CLAIM.job, "fence": CLAIM.fence - 1, "recycle": False}
    run.executions._take_in(run.child, message)
    assert run.world.ended == [], "an older execution's answer ends nothing"
    assert stops.Reason.INTERRUPT in {running.stop.reason for running in run.executions if running.stop}


@dataclass
class Piped:
    """One execution whose child has a real pipe for its output."""

    claim: Claim = CLAIM

    def __post_init__(self) -> None:
        self.world = World(deaf=False)
        clerk: Any = _AsClerk(self.world)
        world: Any = self.world
        self.selector = selectors.DefaultSelector()
        rules = Rules(directory=Path("/w"), kinds={"q": Kind(name="q", handler="-", says="-")})
        self.executions = Executions(rules, self.selector, clerk, world)
        channel: Any = SilentChannel()
        output, self.printing = os.pipe2(os.O_NONBLOCK)
        self.child = Child(0, channel, output, pid=99)
        self.selector.register(output, selectors.EVENT_READ, (self.child, "output"))
        self.executions.begin(self.child, self.claim, 0.0)

    def answer(self, outcome: Outcome) -> Ended:
        message = {"answer": answers.to_json(outcome), "job": CLAIM.job, "fence": CLAIM.fence, "recycle": False}
        self.executions._take_in(self.child, message)
        return self.world.ended[-1]

    def is_read(self) -> bool:
        return self.child.output in self.selector.get_map()

    def close(self) -> None:
        self.selector.close()
        os.close(self.child.output)


def test_output_that_was_read_with_the_answer_of_the_same_turn_is_read_on_for_the_next_job() -> None:
    run = Piped()
    os.write(run.printing, b"printed")
    ready = run.selector.select(0)  # the output, too, is in this turn's lot
    assert run.answer(Done()).output == b"printed"
    assert len(ready) == 1
    run.executions.read_output(run.child)
    assert run.is_read()
    os.close(run.printing)
    run.executions.read_output(run.child)
    assert not run.is_read(), "the end of the pipe is the end"
    run.close()


def test_what_never_was_a_process_gives_its_job_back_uncounted() -> None:
    run = Run(World(deaf=False))
    run.executions.bury(Gone(run.child, "no process could be made for it", unbegun=True))
    assert [ended.outcome for ended in run.world.ended] == [Released()]


def test_no_part_of_a_secret_is_left_where_output_is_cut() -> None:
    run = Piped(replace(CLAIM, payload={"password": "hunter22-and-more"}))
    for piece in (
        b"x" * (HEAD_BYTES - 8) + b"hunter22-and-more",
        b"y" * 100,
        b"hunter22-and-more" + b"z" * (TAIL_BYTES - 5),
    ):
        for at in range(0, len(piece), 4096):
            os.write(run.printing, piece[at : at + 4096])
            run.executions.read_output(run.child)
    kept = run.answer(Done()).output
    assert b"hunter" not in kept
    assert b"more" not in kept
    assert kept == b"x" * (HEAD_BYTES - 8) + b"\n[... 134 bytes are left out ...]\n" + b"z" * (TAIL_BYTES - 5)
    os.close(run.printing)
    run.close()
