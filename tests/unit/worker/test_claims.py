"""What a parent says to the broker when it has looked: nothing is lost, and parents that are full ring nobody mad."""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import pytest

from central_dispatch.jobs.job import Claim
from central_dispatch.jobs.ports import Parent, StoreDown
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.worker.claims import Claims
from central_dispatch.worker.known_settings import KnownSettings


class StoreDouble:
    """In memory, for this file: so many jobs wait in each queue."""

    def __init__(self, **waiting: int) -> None:
        self.waiting = Counter(waiting)
        self.meanwhile: Callable[[], None] = lambda: None
        self.is_down = False

    def claim(self, queue: str, _parent: str, limit: int, _now: datetime) -> list[Claim]:
        if self.is_down:
            raise StoreDown("away")
        taken = min(limit, self.waiting[queue])
        self.waiting[queue] -= taken
        self.meanwhile()
        return [
            Claim(job=job, kind=queue, payload={}, payload_version=1, fence=1, attempts=0, deferrals=0, priority=5)
            for job in range(taken)
        ]

    def settings(self, _queue: str) -> QueueSettings:
        return QueueSettings()


class BrokerDouble:
    """Takes down what it is told, in its order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def ring(self, queues: Collection[str]) -> None:
        self.told.append(("ring", sorted(queues)))

    def looked(self, queue: str) -> None:
        self.told.append(("looked", queue))

    def hear(self) -> list[tuple[str, Any]]:
        told, self.told = self.told, []
        return told


def claims_of(store: StoreDouble, broker: BrokerDouble, *queues: str, slots: int) -> Claims:
    parent = Parent("p" * 32, "host", 1, queues, slots)
    settings = KnownSettings(store, 60)  # type: ignore[arg-type]  # the double has what is called
    return Claims(store, broker, parent, settings, lambda _: None)  # type: ignore[arg-type]  # likewise


def test_a_bell_is_acknowledged_after_the_look_whether_something_was_found_or_not() -> None:
    store, broker = StoreDouble(ftp=1), BrokerDouble()
    claims = claims_of(store, broker, "ftp", "mail", slots=4)
    claims.claim()
    assert sorted(broker.hear()) == [("looked", "ftp"), ("looked", "mail")]
    claims.bell("ftp")
    assert broker.hear() == [], "not before the look"
    claims.claim()
    assert broker.hear() == [("looked", "ftp")]


def test_a_bell_that_rings_during_the_look_wants_another_look() -> None:
    store, broker = StoreDouble(), BrokerDouble()
    claims = claims_of(store, broker, "ftp", slots=4)
    store.meanwhile = lambda: claims.bell("ftp")
    claims.claim()
    assert broker.hear() == []
    store.meanwhile = lambda: None
    claims.claim()
    assert broker.hear() == [("looked", "ftp")]


def test_a_look_that_failed_acknowledges_nothing() -> None:
    store, broker = StoreDouble(ftp=1), BrokerDouble()
    claims = claims_of(store, broker, "ftp", slots=4)
    store.is_down = True
    claims.bell("ftp")
    with pytest.raises(StoreDown):
        claims.claim()
    assert broker.hear() == []
    store.is_down = False
    claims.claim()
    assert broker.hear() == [("looked", "ftp")]


def test_a_parent_without_room_keeps_its_bell() -> None:
    store, broker = StoreDouble(ftp=2), BrokerDouble()
    claims = claims_of(store, broker, "ftp", slots=1)
    claims.claim()
    broker.hear()
    claims.bell("ftp")
    claims.claim()
    assert broker.hear() == []
    claims.free(1)
    claims.claim()
    assert ("looked", "ftp") in broker.hear()


def test_a_parent_that_filled_its_slots_rings_on_before_it_acknowledges() -> None:
    store, broker = StoreDouble(ftp=5), BrokerDouble()
    claims_of(store, broker, "ftp", slots=2).claim()
    assert broker.hear() == [("ring", ["ftp"]), ("looked", "ftp")]


def test_a_parent_that_stays_full_rings_on_once() -> None:
    store, broker = StoreDouble(ftp=1000), BrokerDouble()
    claims = claims_of(store, broker, "ftp", slots=2)
    for _ in range(100):
        claims.claim()
        claims.free(1)
    assert [told for told in broker.hear() if told[0] == "ring"] == [("ring", ["ftp"])]
    store.waiting.clear()
    claims.free(1)
    claims.claim()
    assert [told for told in broker.hear() if told[0] == "ring"] == []
    store.waiting["ftp"] = 9
    claims.bell("ftp")
    claims.claim()
    assert [told for told in broker.hear() if told[0] == "ring"] == [("ring", ["ftp"])], "full again: once more"


def test_a_queue_that_gave_less_than_asked_for_is_not_rung_on() -> None:
    store, broker = StoreDouble(ftp=1, mail=9), BrokerDouble()
    claims_of(store, broker, "ftp", "mail", slots=4).claim()
    assert [told for told in broker.hear() if told[0] == "ring"] == [("ring", ["mail"])]
