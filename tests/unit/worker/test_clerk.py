"""The clerk against a store that fails: nothing that has ended is lost, and one bad row keeps no other."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from central_dispatch.jobs.job import Claim, NewJob
from central_dispatch.jobs.outcome import Done, Failed
from central_dispatch.jobs.ports import DeadLetter, Parent, Settled, StoreDown
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.schedule import Schedule
from central_dispatch.stores.server import store as server_store
from central_dispatch.stores.sqlite import store as sqlite_store
from central_dispatch.worker.clerk import Claimed, Clerk, Ended
from central_dispatch.worker.settlements import MOST
from central_dispatch.worker.timing import Timing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = Timing(store_down_s=0.01, look_s=0.05)


class FailingStoreDouble:
    """In memory, for this file: claims what it is given, and fails as told. Not a store."""

    def __init__(self, jobs: int) -> None:
        self.waiting = list(range(1, jobs + 1))
        self.settled: list[Settled] = []
        self.down = threading.Event()
        self.refuses: set[int] = set()
        self.refuses_all: set[int] = set()
        self.settles_before_it_is_down: int | None = None
        self.claimed: list[Claim] = []
        self.loses_answers = 0

    def _answer(self) -> None:
        if self.down.is_set():
            raise StoreDown("away")

    def claim(self, queue: str, _parent: str, limit: int, _now: datetime) -> list[Claim]:
        self._answer()
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        claims = [
            Claim(
                job=job,
                kind=queue,
                payload={"password": "hunter22"},
                payload_version=1,
                fence=1,
                attempts=0,
                deferrals=0,
                priority=5,
            )
            for job in taken
        ]
        self.claimed += claims
        if self.loses_answers:
            self.loses_answers -= 1
            raise StoreDown("the connection was lost")
        return claims

    def held(self, _parent: str) -> list[Claim]:
        self._answer()
        over = {one.claim.job for one in self.settled}
        return [claim for claim in self.claimed if claim.job not in over]

    def settle(self, settled: Sequence[Settled]) -> list[bool]:
        self._answer()
        if any(one.claim.job in self.refuses and one.outcome == "done" for one in settled):
            raise ValueError("this row cannot be written")
        if any(one.claim.job in self.refuses_all for one in settled):
            raise ValueError("this row cannot be written")
        # As the stores do: a transaction for so many, and False for what is written already.
        over = {one.claim.job for one in self.settled}
        kept = [one.claim.job not in over for one in settled]
        for start in range(0, len(settled), MOST):
            if self.settles_before_it_is_down == 0:
                self.settles_before_it_is_down = None
                raise StoreDown("the connection was lost")
            if self.settles_before_it_is_down is not None:
                self.settles_before_it_is_down -= 1
            self.settled += [one for one in settled[start : start + MOST] if one.claim.job not in over]
        return kept

    def settings(self, _queue: str) -> QueueSettings:
        self._answer()
        return QueueSettings()

    def next_due(self, _queues: Collection[str], _now: datetime) -> None:
        self._answer()

    def interruptions(self, _claims: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
        self._answer()
        return []

    def enqueue_scheduled(self, _periods: Mapping[str, float], _now: datetime) -> list[str]:
        return []

    def schedules(self) -> list[Schedule]:
        self._answer()
        return []

    def enqueue(self, _jobs: Sequence[NewJob], _now: datetime) -> list[int | None]:
        raise NotImplementedError


class BrokerDouble:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def ring(self, queues: Collection[str]) -> None:
        self.told.append(("ring", sorted(queues)))

    def call(self, queues: Collection[str]) -> None:
        self.told.append(("call", sorted(queues)))

    def looked(self, queue: str) -> None:
        self.told.append(("looked", queue))

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        self.told += [("buried", letter) for letter in letters]

    def of(self, act: str) -> list[Any]:
        return [what for done, what in self.told if done == act]


def _until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _clerk(
    store: FailingStoreDouble, slots: int, broker: BrokerDouble | None = None, timing: Timing = QUICK
) -> tuple[Clerk, list[Claim]]:
    claims: list[Claim] = []

    def post(event: Any) -> None:
        if isinstance(event, Claimed):
            claims.extend(event.claims)

    parent = Parent("p" * 32, "host", 1, ("q",), slots)
    clerk = Clerk(store, broker or BrokerDouble(), parent, timing, post)  # type: ignore[arg-type]  # the double has what is called
    clerk.start()
    return clerk, claims


def _ended(claim: Claim) -> Ended:
    return Ended(claim, Done(), 1, NOW, NOW)


def test_it_claims_as_many_as_there_are_slots_and_one_more_for_each_that_ends() -> None:
    store = FailingStoreDouble(5)
    clerk, claims = _clerk(store, slots=2)
    _until(lambda: len(claims) == 2)
    clerk.ended(_ended(claims[0]))
    _until(lambda: len(claims) == 3)
    clerk.ended(_ended(claims[1]))
    clerk.ended(_ended(claims[2]))
    _until(lambda: len(claims) == 5)
    assert store.waiting == []
    for claim in claims[3:]:
        clerk.ended(_ended(claim))
    assert clerk.finish(5)


def test_what_ends_while_the_database_is_away_is_settled_when_it_is_back() -> None:
    store = FailingStoreDouble(2)
    clerk, claims = _clerk(store, slots=2)
    _until(lambda: len(claims) == 2)
    store.down.set()
    for claim in claims:
        clerk.ended(_ended(claim))
    assert not clerk.finish(0.05)
    assert store.settled == []


def test_what_was_claimed_and_never_heard_of_is_given_back_uncounted_and_its_slots_are_used_again() -> None:
    store = FailingStoreDouble(5)
    store.loses_answers = 1
    clerk, claims = _clerk(store, slots=2)
    _until(lambda: len(claims) == 2)
    assert [claim.job for claim in claims] == [3, 4]
    assert {one.claim.job: (one.outcome, one.settlement.attempts) for one in store.settled} == {
        1: ("released", 0),
        2: ("released", 0),
    }
    for claim in claims:
        clerk.ended(_ended(claim))
    _until(lambda: len(claims) == 3)
    clerk.ended(_ended(claims[2]))
    assert clerk.finish(5)


def test_what_was_claimed_and_never_heard_of_is_given_back_before_the_end() -> None:
    store = FailingStoreDouble(1)
    store.loses_answers = 1
    clerk, claims = _clerk(store, slots=1)
    _until(lambda: store.claimed)
    assert clerk.finish(5)
    assert [one.outcome for one in store.settled] == ["released"]
    assert claims == []


def test_it_settles_as_soon_as_the_database_is_back() -> None:
    store = FailingStoreDouble(2)
    clerk, claims = _clerk(store, slots=2)
    _until(lambda: len(claims) == 2)
    store.down.set()
    for claim in claims:
        clerk.ended(_ended(claim))
    store.down.clear()
    _until(lambda: len(store.settled) == 2)
    assert {one.settlement.attempts for one in store.settled} == {1}
    assert clerk.finish(5)


def test_a_row_that_cannot_be_written_keeps_no_other_from_being_settled() -> None:
    store = FailingStoreDouble(3)
    store.refuses = {2}
    clerk, claims = _clerk(store, slots=3)
    _until(lambda: len(claims) == 3)
    for claim in claims:
        clerk.ended(_ended(claim))
    _until(lambda: len(store.settled) == 3)
    assert {one.claim.job: one.outcome for one in store.settled} == {1: "done", 2: "crashed", 3: "done"}
    assert clerk.finish(5)


def test_a_row_that_cannot_be_written_at_all_is_not_said_to_have_lost_its_fence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FailingStoreDouble(2)
    store.refuses_all = {2}
    clerk, claims = _clerk(store, slots=2)
    _until(lambda: len(claims) == 2)
    for claim in claims:
        clerk.ended(_ended(claim))
    _until(lambda: "job 2 cannot be settled at all" in caplog.text)
    assert "fence" not in caplog.text
    assert [one.claim.job for one in store.settled] == [1]
    store.refuses_all = set()
    assert clerk.finish(5)


def test_what_was_written_before_the_database_went_away_is_not_settled_again() -> None:
    store, broker = FailingStoreDouble(MOST + 50), BrokerDouble()
    clerk, claims = _clerk(store, MOST + 50, broker)
    _until(lambda: len(claims) == MOST + 50)
    store.settles_before_it_is_down = 1
    for claim in claims:
        clerk.ended(Ended(claim, Failed("no such host", retryable=False), 1, NOW, NOW))
    _until(lambda: len(store.settled) == MOST + 50)
    assert clerk.finish(5)
    assert sorted(one.claim.job for one in store.settled) == list(range(1, MOST + 51))
    assert len(broker.of("buried")) == MOST + 50


def test_what_one_call_does_not_settle_the_next_one_does_at_once() -> None:
    store = FailingStoreDouble(MOST + 50)
    clerk, claims = _clerk(store, MOST + 50, timing=Timing(store_down_s=0.01, look_s=600, settings_s=600))
    _until(lambda: len(claims) == MOST + 50)
    store.down.set()
    for claim in claims:
        clerk.ended(_ended(claim))
    store.down.clear()
    _until(lambda: len(store.settled) == MOST + 50)
    assert clerk.finish(5)


def test_one_call_to_settle_is_one_transaction_of_every_store() -> None:
    assert min(sqlite_store.CHUNK, server_store.CHUNK) >= MOST


def test_nothing_is_claimed_once_it_drains() -> None:
    store = FailingStoreDouble(3)
    clerk, claims = _clerk(store, slots=1)
    _until(lambda: len(claims) == 1)
    clerk.drain()
    clerk.ended(_ended(claims[0]))
    assert clerk.finish(5)
    assert len(store.waiting) == 2


def test_a_copy_of_each_job_that_ends_in_error_is_left_with_the_broker() -> None:
    store, broker = FailingStoreDouble(3), BrokerDouble()
    clerk, claims = _clerk(store, 3, broker)
    _until(lambda: len(claims) == 3)
    outcomes = [Done(), Failed("later"), Failed("no such host", retryable=False)]
    for claim, outcome in zip(claims, outcomes, strict=True):
        clerk.ended(Ended(claim, outcome, 1, NOW, NOW))
    assert clerk.finish(5)
    [letter] = broker.of("buried")
    assert (letter.job, letter.queue, letter.error, letter.attempts) == (3, "q", "no such host", 1)
    assert "hunter22" not in str(letter)
    assert letter.expires_at == next(one.settlement.expires_at for one in store.settled if one.claim.job == 3)


def test_what_job_code_rings_is_passed_on() -> None:
    broker = BrokerDouble()
    clerk, _ = _clerk(FailingStoreDouble(0), 1, broker)
    clerk.pass_on("ring", ["a", "b"])
    clerk.pass_on("call", ["c"])
    assert clerk.finish(5)
    assert (broker.of("ring"), broker.of("call")) == ([["a", "b"]], [["c"]])
