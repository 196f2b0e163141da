"""A dispatcher that a test scripts: it follows the real one's rules about repeats, gaps and sessions."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from central_dispatch.host.dispatcher_client import Away, Gap, Refused
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.protocol import (
    Claim,
    Claimed,
    Heartbeat,
    Order,
    Report,
    Reported,
    RunEvent,
    Session,
    SessionStart,
    Wish,
)
from servers.https_server import serving

LIMIT_S = 60.0  # only ever reached by a test that fails


def hex_id(number: int) -> str:
    return f"{number:032x}"


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
            self.wishes_went_at = 0
            self.wishes.append(Wish.model_validate({"run": hex_id(number), "verb": verb, "by": "ada"}))
            self.changed.notify_all()

    def kinds(self, number: int) -> list[str]:
        return [event.kind for event in self.events.get(hex_id(number), [])]

    def await_kind(self, number: int, kind: str, limit_s: float = LIMIT_S) -> list[str]:
        self.await_that(lambda: kind in self.kinds(number), limit_s)
        return self.kinds(number)

    def await_that(self, fact: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
        with self.changed:
            assert self.changed.wait_for(fact, limit_s), f"it did not happen; events: {self.events}"

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


@contextmanager
def over_https(dispatcher: Dispatcher, directory: Path) -> Iterator[tuple[str, str]]:
    """Serve a scripted dispatcher to a real host worker; yields address and pin."""

    def answer(path: str, body: dict[str, Any], _credential: str) -> tuple[int, Any]:
        what = path.removeprefix("/host/v1/")
        try:
            match what.split("/"):
                case ["session"]:
                    told: Any = dispatcher.session(SessionStart.model_validate(body))
                case ["heartbeat"]:
                    told = dispatcher.heartbeat(Heartbeat.model_validate(body))
                case ["claim"]:
                    told = dispatcher.claim(Claim.model_validate(body))
                case ["runs", run, "events"]:
                    told = dispatcher.report(run, Report.model_validate(body))
                case _:
                    return 404, {"title": "no such call"}
        except Away:
            return 503, {}
        return (409, {"through": told.through}) if isinstance(told, Gap) else (200, told.model_dump(mode="json"))

    with serving(directory, answer) as found:
        yield found
