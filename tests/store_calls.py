"""What the contract tests of stores share: a site of each adapter, a parent that has joined, and short calls."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.jobs.job import Claim, NewJob
from central_dispatch.jobs.outcome import Outcome
from central_dispatch.jobs.ports import Parent, Settled, Store
from central_dispatch.jobs.settling import settle as decide
from job_adapters import STORES, SqliteSite

Q = "subdefCreation"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
SECOND = timedelta(seconds=1)
_numbers = count(1)


@pytest.fixture(params=STORES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteSite]:
    made = STORES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(site: SqliteSite) -> Store:
    return site.open()


@pytest.fixture
def mine(store: Store) -> Parent:
    return joined(store)


def joined(store: Store, host: str = "host", pid: int = 0, slots: int = 10) -> Parent:
    number = next(_numbers)
    parent = Parent(f"{number:032x}", host, pid or 1_000_000 + number, (Q,), slots)
    store.register(parent, NOW)
    return parent


def put(store: Store, amount: int = 1, at: datetime = NOW, queue: str = Q, **more: Any) -> list[int]:
    made = store.enqueue([NewJob(kind=queue, payload={"n": n}, **more) for n in range(amount)], at)
    return [job for job in made if job is not None]


def ended(store: Store, claim: Claim, outcome: Outcome, at: datetime = NOW, output: bytes = b"") -> Settled:
    settlement = decide(claim, outcome, store.settings(claim.kind), at, 0.5)
    return Settled(claim, settlement, 4711, at, at, type(outcome).__name__.lower(), output)


def settle(store: Store, claim: Claim, outcome: Outcome, at: datetime = NOW) -> bool:
    (written,) = store.settle([ended(store, claim, outcome, at)])
    return written


def take(store: Store, parent: Parent, limit: int = 10, at: datetime = NOW, queue: str = Q) -> list[Claim]:
    return store.claim(queue, parent.id, limit, at)
