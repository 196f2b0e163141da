"""Handlers' wishes for locks between parent and store."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from central_dispatch.jobs.job import Claim, Settlement
from central_dispatch.jobs.lock import Holder, Lock
from central_dispatch.jobs.outcome import Deferred
from central_dispatch.jobs.ports import Settled, StoreDown
from central_dispatch.worker.lock_requests import Locked, LockRequests, Lost, Wish

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class LockingStoreDouble:
    """In memory, for this file: answers as it is told. Not a store."""

    def __init__(self) -> None:
        self.answer: list[Holder] | Exception = []
        self.asked: list[int] = []

    def lock(self, job: int, _fence: int, _locks: Sequence[Lock], _now: datetime) -> list[Holder]:
        self.asked.append(job)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def woken(self, resources: Collection[str], _now: datetime) -> list[str]:
        return sorted(resources)


def claim(job: int) -> Claim:
    return Claim(job=job, kind="q", payload={}, payload_version=1, fence=7, attempts=0, deferrals=0, priority=5)


def wish(job: int = 1, number: int = 1, asked: float = 0.0) -> Wish:
    return Wish(claim(job), number, [Lock("r")], asked)


@pytest.fixture
def store() -> LockingStoreDouble:
    return LockingStoreDouble()


@pytest.fixture
def posted() -> list[Any]:
    return []


@pytest.fixture
def requests(store: LockingStoreDouble, posted: list[Any]) -> LockRequests:
    return LockRequests(store, posted.append, patience_s=10)  # type: ignore[arg-type] # what it needs of a store


def test_a_handler_is_told_that_all_is_taken_or_who_is_in_the_way(
    store: LockingStoreDouble, requests: LockRequests, posted: list[Any]
) -> None:
    requests.add(wish())
    requests.answer({1})
    store.answer = [Holder("r", 17, shared=False)]
    requests.add(wish(2, number=5))
    requests.answer({1, 2})
    assert posted == [
        Locked(claim(1), 1, None),
        Locked(claim(2), 5, Deferred("r is locked by job 17", waits_on="r")),
    ]


def test_who_lost_its_fence_is_to_be_ended_and_who_has_ended_is_not_asked_for(
    store: LockingStoreDouble, requests: LockRequests, posted: list[Any]
) -> None:
    store.answer = LookupError()
    requests.add(wish(1))
    requests.add(wish(2))
    requests.answer({1})
    assert (posted, store.asked) == ([Lost(1)], [1])


def test_with_the_database_away_a_wish_waits_and_then_is_deferred(
    store: LockingStoreDouble, requests: LockRequests, posted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.answer = StoreDown("away")
    requests.add(wish(asked=100.0))
    with pytest.raises(StoreDown):
        requests.answer({1})
    monkeypatch.setattr("time.monotonic", lambda: 109.0)
    requests.give_up("away")
    assert (posted, len(requests)) == ([], 1)
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    requests.give_up("away")
    assert (posted, len(requests)) == ([Locked(claim(1), 1, Deferred("locks cannot be taken: away"))], 0)


def test_a_fault_of_one_wish_keeps_no_other(
    store: LockingStoreDouble, requests: LockRequests, posted: list[Any]
) -> None:
    store.answer = ValueError("broken")
    requests.add(wish(1))
    requests.add(wish(2))
    requests.answer({1, 2})
    assert [one.refused is not None for one in posted] == [True, True]


def test_only_executions_that_took_locks_make_the_store_look_who_waits(requests: LockRequests) -> None:
    requests.add(wish(1))
    requests.answer({1})
    over = [
        Settled(claim(job), Settlement(state="finished", attempts=1, deferrals=0), 1, NOW, NOW, "done")
        for job in (1, 2)
    ]
    assert requests.ended(over[1:], NOW) == []
    assert requests.ended(over, NOW) == ["r"]
    assert requests.ended(over, NOW) == []
