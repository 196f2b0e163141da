"""The contract of `jobs.ports.Store`, which every adapter passes: settings."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from central_dispatch.jobs.outcome import Done
from central_dispatch.jobs.ports import Parent, Store
from job_adapters import SqliteSite
from store_calls import LATER, NOW, SECOND, Q, joined, put, settle, take


def test_a_paused_queue_gives_nothing_until_it_goes_on_and_takes_new_jobs(store: Store, mine: Parent) -> None:
    put(store)
    store.change_settings(Q, {"paused": True})
    put(store)
    assert take(store, mine) == []
    assert store.next_due([Q], NOW) is None
    store.change_settings(Q, {"paused": False})
    assert len(take(store, mine)) == 2


def test_a_limit_holds_over_all_parents_and_frees_room_as_jobs_end(store: Store, site: SqliteSite) -> None:
    first, second = joined(store), joined(site.open())
    put(store, 10, queue="tight")
    a = take(store, first, limit=2, queue="tight")
    b = take(store, second, limit=9, queue="tight")
    assert (len(a), len(b)) == (2, 1)
    assert store.next_due(["tight"], NOW) is None
    assert take(store, first, queue="tight") == []
    settle(store, a[0], Done())
    assert len(take(store, second, queue="tight")) == 1
    store.change_settings("tight", {"concurrency": 5})
    assert len(take(store, first, queue="tight")) == 2
    store.change_settings("tight", {"concurrency": None})
    assert len(take(store, first, queue="tight")) == 4


def test_many_parents_at_once_take_each_job_once_and_never_pass_the_limit(store: Store, site: SqliteSite) -> None:
    put(store, 60, queue="tight")
    taken: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        own = site.open()
        parent = joined(own, pid=2_000_000 + number)
        while True:
            with lock:
                if len(taken) == 60:
                    return
            for claim in take(own, parent, limit=2, queue="tight"):
                running = sum(row["state"] == "running" for row in site.rows())
                with lock:
                    most.append(running)
                    taken.append(claim.job)
                assert settle(own, claim, Done())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(set(taken)) == 60
    assert max(most) <= 3


def test_settings_are_the_kinds_own_until_changed_and_each_change_keeps_the_others(
    store: Store, site: SqliteSite
) -> None:
    assert store.settings("once").max_attempts == 1
    store.change_settings("once", {"max_attempts": 4})
    store.change_settings("once", {"retry_delay_s": 2})
    found = site.open().settings("once")
    assert (found.max_attempts, found.retry_delay_s, found.paused) == (4, 2.0, False)


@pytest.mark.parametrize("changes", [{"max_attempts": 0}, {"no_such": 1}, {"backoff": "x"}, {"retention_h": "x"}])
def test_bad_settings_change_nothing_and_are_named(store: Store, changes: dict[str, Any]) -> None:
    before = store.settings(Q)
    with pytest.raises(ValueError, match=next(iter(changes))):
        store.change_settings(Q, changes)
    assert store.settings(Q) == before


def test_next_due_is_the_nearest_of_the_queues_asked_for(store: Store, mine: Parent) -> None:
    assert store.next_due([Q, "ftp"], NOW) is None
    put(store, due_at=LATER, priority=9)
    put(store, due_at=NOW + SECOND, priority=1)
    put(store, queue="ftp")
    assert store.next_due([Q], NOW) == NOW + SECOND
    assert store.next_due([Q, "ftp"], NOW) == NOW
    take(store, mine, at=NOW + SECOND)
    assert store.next_due([Q], NOW) == LATER
    assert store.next_due([], NOW) is None
