"""The saga against a simulated host on which anything may fail, be down, or be killed at any point.

Each case draws a plan, what was on the host before, and a fate for every probe, journal line and side effect.
CENTRAL_DISPATCH_CASES sets how many cases are drawn (bin/test draws few; 2,000 and more take a minute).
"""

import os
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central_dispatch.provisioning.journal import DURABLE_KINDS, Entry, Kind, RunState, read_entries, replay
from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import HostError, Occupied, Problem, Unavailable
from central_dispatch.provisioning.saga import Saga, Standing
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step
from central_dispatch.provisioning.steps import STEPS

INSTANCE, RUN, OTHER = "a" * 32, "b" * 32, "c" * 32
MARK = Mark(INSTANCE, RUN)
CASES = int(os.environ.get("CENTRAL_DISPATCH_CASES", "400"))
FATES = ["fail", "down", "die", "torn", "intruder", "wish"]
many = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))


class Killed(BaseException):
    """kill -9, or the power is cut: nothing runs any more, not even an `except Exception`."""


@dataclass
class World:
    """Things by name, each with its content and the text that it bears; what the server serves; the fates to come."""

    things: dict[str, tuple[str, str]] = field(default_factory=dict)
    served: frozenset[str] = frozenset()
    fates: dict[int, str] = field(default_factory=dict)
    ticks: int = 0
    intruders: dict[str, tuple[str, str]] = field(default_factory=dict)

    def fate(self) -> str:
        self.ticks += 1
        return self.fates.get(self.ticks, "")

    def tick(self, name: str = "") -> None:
        match self.fate():
            case "fail":
                raise HostError(Problem("it failed"))
            case "down":
                raise Unavailable(Problem("the server is down"))
            case "die" | "torn":
                raise Killed
            case "intruder" if name and name not in self.things:
                self.things[name] = self.intruders[name] = ("somebody's", "somebody's")

    def reload(self) -> None:
        self.served = frozenset(self.things)


def world_of(host: Host) -> World:
    return cast("World", host)


class TestStep(Step):
    __test__ = False
    thing: str = ""

    @property
    def title(self) -> str:
        return f"Thing {self.thing}"

    def changes(self) -> list[Change]:
        return [Change("create", "thing", self.thing)]


class Thing(TestStep):
    """Made in two effects and removed in two, each of which may be the last one before a kill."""

    name: ClassVar[str] = "test-thing"

    def probe(self, host: Host, mark: Mark) -> Finding:
        world_of(host).tick()
        found = world_of(host).things.get(self.thing)
        return Finding(mark.judge(found[1]), self.thing) if found else ABSENT

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        world = world_of(host)
        world.tick(self.thing)
        if self.thing in world.things:
            raise Occupied(Problem("taken"))
        world.things[self.thing] = ("half", mark.open)
        output("half way")
        if world.fate() == "fail":
            return Problem("it could not be filled")
        world.tick()
        world.things[self.thing] = ("whole", mark.open)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        world_of(host).tick()
        return None if world_of(host).things[self.thing] == ("whole", mark.open) else Problem("not whole")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:  # noqa: ARG002 a contract's names
        world = world_of(host)
        world.tick()
        assert mark.judge(world.things[self.thing][1]) == "ours", "cleared what was not this run's"
        world.things[self.thing] = ("half", mark.open)
        world.tick()
        del world.things[self.thing]

    def seal(self, host: Host, mark: Mark) -> None:
        world_of(host).tick()
        world_of(host).things[self.thing] = (world_of(host).things[self.thing][0], mark.sealed)


class BareThing(Thing):
    """One that can bear no seal (an account's home, say): after the commit, too, it looks like an open run's."""

    name: ClassVar[str] = "test-bare-thing"

    def seal(self, host: Host, mark: Mark) -> None:
        """There is nothing to write a seal on."""


class Reload(TestStep):
    """An act: the web server takes over what is there, forwards (`after`) or on the way back."""

    name: ClassVar[str] = "test-reload"
    is_act: ClassVar[bool] = True
    after: bool

    def probe(self, host: Host, mark: Mark) -> Finding:  # noqa: ARG002 an act leaves nothing to find
        world_of(host).tick()
        return ABSENT

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:  # noqa: ARG002 a contract's names
        world_of(host).tick()
        if self.after:
            world_of(host).reload()
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:  # noqa: ARG002 a contract's names
        return None

    def clear(self, host: Host, mark: Mark, output: Output) -> None:  # noqa: ARG002 a contract's names
        world_of(host).tick()
        if not self.after:
            world_of(host).reload()


class Seal(TestStep):
    """The tail: everything that was made gets its sealed mark, first things first."""

    name: ClassVar[str] = "test-seal"
    things: tuple[str, ...]

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:  # noqa: ARG002 a contract's names
        for thing in self.things:
            Thing(thing=thing).seal(host, mark)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        open_ones = [thing for thing in self.things if world_of(host).things[thing][1] != mark.sealed]
        return Problem("not sealed", open_ones[0]) if open_ones else None


class Lines:
    """A journal in memory: a kill may tear its last line, a power cut may take those that were not durable."""

    def __init__(self, world: World, disk: list[bytes]) -> None:
        self._world, self._disk = world, disk
        del self._disk[len(read_entries(disk)) :]  # as the host does when it opens a journal

    def entries(self) -> list[Entry]:
        return read_entries(self._disk)

    def append(self, kind: Kind, step: int = -1, data: dict[str, Any] | None = None) -> Entry:
        entry = Entry(len(self.entries()) + 1, "2026-01-01T00:00:00Z", kind, step, data or {})
        fate = self._world.fate()
        if fate == "torn":
            self._disk.append(entry.to_line()[:-5])
        if fate in {"torn", "die"}:
            self._lose_what_was_not_durable()
            raise Killed
        self._disk.append(entry.to_line())
        return entry

    def _lose_what_was_not_durable(self) -> None:
        while self._disk and (last := Entry.from_line(self._disk[-1])) and last.kind not in DURABLE_KINDS:
            self._disk.pop()


@pytest.fixture(autouse=True, scope="module")
def _known_steps() -> Any:
    kinds: list[type[Step]] = [Thing, BareThing, Reload, Seal]
    STEPS.update({(kind.name, 1): kind for kind in kinds})
    yield
    for kind in kinds:
        del STEPS[kind.name, 1]


def plan_of(count: int) -> Plan:
    """Every second thing can bear no seal, the last one of two among them: an undo would begin with it."""
    names = [f"thing-{number}" for number in range(count)]
    things: tuple[Step, ...] = tuple((BareThing if is_bare(name) else Thing)(thing=name) for name in names)
    steps = (Reload(after=False), *things, Reload(after=True))
    sealed = tuple(name for name in names if not is_bare(name))
    return Plan("deploy", INSTANCE, "acme", steps, (Seal(things=sealed), Reload(after=True)))


def is_bare(thing: str) -> bool:
    return int(thing.removeprefix("thing-")) % 2 == 1


def made(count: int) -> dict[str, tuple[str, str]]:
    """What a committed run leaves."""
    names = [f"thing-{number}" for number in range(count)]
    return {name: ("whole", MARK.open if is_bare(name) else MARK.sealed) for name in names}


def begun(world: World, disk: list[bytes], plan: Plan) -> Lines:
    lines = Lines(world, disk)
    if not lines.entries():
        lines.append("begin", data={"plan": plan.to_json(), "run": RUN, "machine": "m", "session": 1})
    return lines


def live(world: World, plan: Plan, disk: list[bytes]) -> RunState:
    """Run, be killed, start again, wait and retry until the run has ended."""
    fresh = True
    while True:
        try:
            lines = begun(world, disk, plan)
            saga = Saga(cast("Host", world), lines, lambda: Problem("a wish") if world.fate() == "wish" else None)
            standing: Standing = saga.carry_on() if fresh else saga.recover()
            while standing in {"waiting", "stuck"}:
                standing = saga.carry_on() if standing == "waiting" else saga.retry()
        except Killed:
            fresh = False
        else:
            return saga.state


fates = st.dictionaries(st.integers(1, 120), st.sampled_from(FATES), max_size=8)
before = st.dictionaries(
    st.sampled_from([f"thing-{number}" for number in range(4)] + ["another"]),
    st.sampled_from(["somebody's", Mark(OTHER, RUN).open, Mark(INSTANCE, OTHER).sealed, Mark(INSTANCE, OTHER).open]),
    max_size=2,
)


@many
@given(st.integers(1, 4), before, fates)
def test_whatever_happens_a_run_ends_fully_up_or_as_if_it_had_never_been(
    count: int, before: dict[str, str], fates: dict[int, str]
) -> None:
    assert_done_or_undone(count, before, fates)


@pytest.mark.parametrize("fate", FATES)
def test_one_fault_at_each_point_of_a_run_in_turn_ends_fully_up_or_as_if_it_had_never_been(fate: str) -> None:
    endings = [assert_done_or_undone(2, {}, {tick: fate}) for tick in range(1, points_of(2) + 1)]
    assert len(endings) > 30
    assert endings[-1] == "committed"
    assert "backed_out" in endings


def points_of(count: int) -> int:
    world = World()
    live(world, plan_of(count), [])
    return world.ticks


def assert_done_or_undone(count: int, before: dict[str, str], fates: dict[int, str]) -> str:
    plan = plan_of(count)
    foreign = {name: ("old", text) for name, text in before.items()}
    world = World(things=dict(foreign), fates=fates)
    world.reload()
    served = world.served
    state = live(world, plan, [])
    expected = {**foreign, **world.intruders}
    if state.ended == "committed":
        assert not set(expected) & {f"thing-{number}" for number in range(count)}
        expected |= made(count)
        assert world.things == expected
        assert world.served == frozenset(world.things)
    else:
        assert state.ended == "backed_out"
        assert state.backing_out
        assert world.things == expected
        assert world.served - set(world.intruders) == served
    return state.ended


@many
@given(st.integers(1, 4), fates)
def test_after_the_commit_no_failure_kill_or_outage_turns_a_run_round(count: int, fates: dict[int, str]) -> None:
    plan, world, disk = plan_of(count), World(), list[bytes]()
    live(world, plan, disk)
    ticks, commit = world.ticks, next(n for n, entry in enumerate(read_entries(disk)) if entry.kind == "commit")
    after = World(fates={ticks + tick: fate for tick, fate in fates.items()}, ticks=ticks)
    after.things = {f"thing-{number}": ("whole", MARK.open) for number in range(count)}
    state = live(after, plan, disk[: commit + 1])
    assert state.ended == "committed"
    assert after.things == world.things


@many
@given(st.integers(1, 4), st.data())
def test_a_journal_rewound_to_before_its_commit_touches_nothing_that_is_sealed(count: int, data: st.DataObject) -> None:
    plan, world, disk = plan_of(count), World(), list[bytes]()
    assert live(world, plan, disk).ended == "committed"
    things, commit = dict(world.things), [entry.kind for entry in read_entries(disk)].index("commit")
    old = disk[: data.draw(st.integers(1, commit), label="lines kept")]
    world.ticks, world.fates = 0, data.draw(st.dictionaries(st.integers(1, 40), st.sampled_from(["down", "die"])))
    while True:
        try:
            saga = Saga(cast("Host", world), Lines(world, old))
            standing = saga.recover()
            while standing == "waiting":
                standing = saga.carry_on()
            if standing == "stuck":
                # Only a rewound journal gets stuck here, and trying again changes nothing.
                assert saga.state.rewound
                assert saga.acknowledge("admin") == "backed_out"
            break
        except Killed:
            continue
    assert world.things == things


def test_an_open_step_is_never_passed_over_to_the_commit() -> None:
    """Whoever carries on a killed run without `recover` is stopped, not committed."""
    plan, disk = plan_of(2), list[bytes]()
    world = World(fates={9: "die"})
    saga = Saga(cast("Host", world), begun(world, disk, plan))
    with pytest.raises(Killed):
        saga.carry_on()
    state = replay(read_entries(disk))
    assert state
    assert state.steps[1] == "open"
    world.fates = {}
    saga = Saga(cast("Host", world), Lines(world, disk))
    with pytest.raises(ValueError, match="recover"):
        saga.carry_on()
    assert Saga(cast("Host", world), Lines(world, disk)).recover() == "backed_out"
    assert world.things == {}
