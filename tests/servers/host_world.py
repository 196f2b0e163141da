"""A small host of the tests' own: things by name, steps that make them, a scripted dispatcher."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from central_dispatch.host import conversation, identity
from central_dispatch.host.identity import Identity
from central_dispatch.host.planner import Planned
from central_dispatch.host.vault import FileVault
from central_dispatch.host.worker import HostWorker
from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import HostError, Problem, Unavailable
from central_dispatch.provisioning.protocol import (
    Facts,
    Item,
    Order,
    SettingsView,
)
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step
from central_dispatch.provisioning.steps import STEPS
from servers.scripted_dispatcher import LIMIT_S, Notifying, hex_id, order

__all__ = ["LIMIT_S", "Site", "World", "broken", "down", "hex_id", "order", "plan_of"]


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


@dataclass
class Site:
    """One host of the tests: its state directory, its world, its dispatcher; workers come and go."""

    state: Path
    world: World
    machine: FakeMachine
    dispatcher: Notifying
    running: list[tuple[threading.Thread, Callable[[], None]]] = field(default_factory=list)
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

        def end() -> None:
            stop.set()
            worker._runs.wake()  # else its loop looks a second later

        self.running.append((thread, end))
        return stop

    def stop(self) -> None:
        for thread, end in self.running:
            end()
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
