"""A small host of the tests' own: things by name, steps that make them, a scripted dispatcher."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from central_dispatch.host import conversation, identity
from central_dispatch.host.dispatcher_client import Away, Gap, Refused
from central_dispatch.host.identity import Identity
from central_dispatch.host.planner import Planned
from central_dispatch.host.vault import FileVault
from central_dispatch.host.worker import HostWorker
from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import HostError, Problem, Unavailable
from central_dispatch.provisioning.protocol import (
    Claim,
    Claimed,
    Facts,
    Heartbeat,
    Item,
    Order,
    Report,
    Reported,
    RunEvent,
    Session,
    SessionStart,
    SettingsView,
    Wish,
)
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step
from central_dispatch.provisioning.steps import STEPS

LIMIT_S = 20.0  # only ever reached by a test that fails


def hex_id(number: int) -> str:
    return f"{number:032x}"


@dataclass
class World:
    """Things by name with the mark they bear, and what is to happen when a step touches one."""

    things: dict[str, str] = field(default_factory=dict)
    hooks: dict[tuple[str, str], Callable[[], None]] = field(default_factory=dict)

    def touch(self, verb: str, name: str) -> None:
        if hook := self.hooks.get((verb, name)):
            hook()


def _world(host: Host) -> World:
    return cast("World", host)


class ThingStep(Step):
    """Makes one thing."""

    name: ClassVar[str] = "test_thing"
    thing: str

    @property
    def title(self) -> str:
        return f"Thing {self.thing}"

    def changes(self) -> list[Change]:
        return [Change("create", "thing", self.thing)]

    def probe(self, host: Host, mark: Mark) -> Finding:
        _world(host).touch("probe", self.thing)
        text = _world(host).things.get(self.thing)
        return ABSENT if text is None else Finding(mark.judge(text), f"thing {self.thing}")

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        output(f"making {self.thing}")
        _world(host).things[self.thing] = mark.open
        _world(host).touch("do", self.thing)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:  # noqa: ARG002 the step contract fixes the arguments
        return None

    def clear(self, host: Host, mark: Mark, output: Output) -> None:  # noqa: ARG002 the step contract fixes the arguments
        _world(host).touch("clear", self.thing)
        _world(host).things.pop(self.thing, None)


def down() -> None:
    raise Unavailable(Problem("The database server is down", "", "Start it."))


def broken() -> None:
    raise HostError(Problem("It broke", "for the test", "Mend it."))


def plan_of(name: str, instance: str, *things: str) -> Plan:
    return Plan("deploy", instance, name, tuple(ThingStep(thing=thing) for thing in things))


@dataclass
class FakeMachine:
    """Adapter of `Machine` over a `World`; plans what it was told, by the instance's name."""

    world: World
    plans: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: dict[str, list[Problem]] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=lambda: {"database_password": "password"})
    refreshed: int = 0

    def host(self) -> Host:
        return cast("Host", self.world)

    def planner(self) -> "FakeMachine":
        return self

    def plan(self, order: Order) -> Planned | list[Problem]:
        self.world.touch("plan", order.spec.name)
        if problems := self.problems.get(order.spec.name):
            return problems
        things = self.plans.get(order.spec.name, (f"{order.spec.name}-1", f"{order.spec.name}-2"))
        return Planned(plan_of(order.spec.name, order.spec.id, *things), self.secrets)

    def inventory(self, order: Order) -> list[Item]:  # noqa: ARG002 the protocol fixes the argument
        return [Item(key=name, what=name, whose="foreign") for name in sorted(self.world.things)]

    def facts(self) -> Facts:
        return Facts(platform="Test")

    def settings(self) -> SettingsView:
        return SettingsView(install_path="/srv")

    def upkeep(self) -> list[Problem]:
        return []

    def refresh(self) -> None:
        self.refreshed += 1


def order(number: int, kind: str = "deploy", name: str = "", instance: int | None = None) -> Order:
    given = name or f"site{number}"
    spec: dict[str, Any] = {
        "id": hex_id(0xA0000 + (number if instance is None else instance)),
        "name": given,
        "hostnames": [f"{given}.example.com"],
        "source": "sample",
        "release": "1",
        "web_root": given,
        "database": given,
        "database_user": given,
        "admin_email": "admin@example.com",
    }
    return Order.model_validate({"run": hex_id(number), "kind": kind, "spec": spec})


class Dispatcher:
    """A scripted dispatcher, adapter of `DispatcherApi`: follows the rules of the real one about repeats and gaps."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.orders: dict[str, Order] = {}
        self.wishes: list[Wish] = []
        self.events: dict[str, list[RunEvent]] = {}
        self.sessions: list[SessionStart] = []
        self.beats: list[Heartbeat] = []
        self.claims: list[Claim] = []
        self.wishes_went_at = 0
        self.away = False
        self.alert = ""
        self.unknown: set[str] = set()
        self.failure: HostError | None = None
        self.closed = False

    # What a test does.

    def give(self, *orders: Order) -> None:
        with self.changed:
            self.orders |= {one.run: one for one in orders}
            self.changed.notify_all()

    def wish(self, verb: str, number: int) -> None:
        with self.changed:
            self.wishes.append(Wish.model_validate({"run": hex_id(number), "verb": verb, "by": "ada"}))
            self.changed.notify_all()

    def kinds(self, number: int) -> list[str]:
        return [event.kind for event in self.events.get(hex_id(number), [])]

    def await_kind(self, number: int, kind: str) -> list[str]:
        self.await_that(lambda: kind in self.kinds(number))
        return self.kinds(number)

    def await_that(self, fact: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(fact, LIMIT_S), f"it did not happen; events: {self.events}"

    def set_away(self, away: bool) -> None:  # noqa: FBT001 reads as a fact
        with self.changed:
            self.away = away
            self.changed.notify_all()

    # What the host calls.

    def session(self, message: SessionStart) -> Session:
        with self._open():
            self.sessions.append(message)
            return Session(session=len(self.sessions), alert=self.alert)

    def heartbeat(self, message: Heartbeat) -> Session:
        with self._open():
            self.beats.append(message)
            return Session(session=message.session, alert=self.alert)

    def claim(self, message: Claim) -> Claimed:
        with self._open():
            self.claims.append(message)
            self.changed.notify_all()
            if message.wait_s:
                self.changed.wait_for(lambda: bool(self._due(message)) or self.wishes or self._shut(), message.wait_s)
            self._demand_open()
            wishes, self.wishes = tuple(self.wishes), []
            if wishes:
                self.wishes_went_at = len(self.claims)
            self.changed.notify_all()
            return Claimed(orders=tuple(self._due(message)), wishes=wishes)

    def report(self, run: str, message: Report) -> Reported | Gap:
        with self._open():
            if run in self.unknown:
                raise Refused(Problem("unknown run"), 404)
            held = self.events.setdefault(run, [])
            fresh = [event for event in message.events if event.sequence > len(held)]
            if [event.sequence for event in fresh] != list(range(len(held) + 1, len(held) + 1 + len(fresh))):
                return Gap(len(held))
            held += fresh
            if fresh:
                self.orders.pop(run, None)
            return Reported(through=len(held))

    def _open(self) -> threading.Condition:
        self._demand_open()
        return self.changed

    def _shut(self) -> bool:
        return self.away or self.closed or self.failure is not None

    def _demand_open(self) -> None:
        if self.failure:
            raise self.failure
        if self.away or self.closed:
            raise Away(Problem("The dispatcher does not answer"))

    def _due(self, message: Claim) -> list[Order]:
        return [one for one in self.orders.values() if one.run not in message.known]


class Notifying(Dispatcher):
    """Tells a waiting test of every call."""

    def report(self, run: str, message: Report) -> Reported | Gap:
        told = super().report(run, message)
        with self.changed:
            self.changed.notify_all()
        return told

    def session(self, message: SessionStart) -> Session:
        told = super().session(message)
        with self.changed:
            self.changed.notify_all()
        return told

    def heartbeat(self, message: Heartbeat) -> Session:
        told = super().heartbeat(message)
        with self.changed:
            self.changed.notify_all()
        return told


@dataclass
class Site:
    """One host of the tests: its state directory, its world, its dispatcher; workers come and go."""

    state: Path
    world: World
    machine: FakeMachine
    dispatcher: Notifying
    running: list[tuple[threading.Thread, threading.Event]] = field(default_factory=list)
    ended: list[Any] = field(default_factory=list)

    def worker(self) -> HostWorker:
        return HostWorker(
            self.state, FileVault(self.state / "vault"), self.machine, connect=lambda _identity: self.dispatcher
        )

    def start(self, finish_s: float = LIMIT_S) -> threading.Event:
        stop = threading.Event()
        worker = self.worker()
        thread = threading.Thread(target=lambda: self.ended.append(worker.serve(stop, finish_s)), daemon=True)
        thread.start()
        self.running.append((thread, stop))
        return stop

    def stop(self) -> None:
        for thread, stop in self.running:
            stop.set()
            thread.join(LIMIT_S)
            assert not thread.is_alive()
        self.running.clear()

    def once(self) -> Any:
        return self.worker().once(threading.Event())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(conversation, "BEAT_S", 0.2)
    monkeypatch.setitem(STEPS, ("test_thing", 1), ThingStep)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    identity.save(state, Identity("https://dispatcher.test", "pin", hex_id(1), "web1", "fp", "secret"))
    world = World()
    made = Site(state, world, FakeMachine(world), Notifying())
    yield made
    made.stop()
    with made.dispatcher.changed:
        made.dispatcher.closed = True
        made.dispatcher.changed.notify_all()
