"""A worker that cannot go on leaves no row of its own behind."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.ports import Parent, StoreDown
from central_dispatch.worker.execute import Setup, _Incarnation
from central_dispatch.worker.parent import Wishes


class RefusingStoreDouble:
    """Registers a parent, and takes no job of it. Not a store."""

    def __init__(self, refusal: Exception) -> None:
        self.refusal = refusal
        self.parents: set[str] = set()

    def register(self, parent: Parent, _now: datetime) -> list[int]:
        self.parents.add(parent.id)
        return []

    def enqueue(self, _jobs: Sequence[NewJob], _now: datetime) -> list[int | None]:
        raise self.refusal

    def leave(self, parent: str) -> None:
        self.parents.discard(parent)


@pytest.mark.parametrize("refusal", [StoreDown("away"), ValueError("no such row")])
def test_one_job_in_the_foreground_that_cannot_begin_leaves_no_parent_behind(
    tmp_path: Path, refusal: Exception
) -> None:
    store: Any = RefusingStoreDouble(refusal)
    broker: Any = None
    worker = _Incarnation(store, broker, ("q",), 1, Wishes(), Setup(directory=tmp_path))
    with pytest.raises(type(refusal)):
        worker.run_one(NewJob(kind="q", payload={}))
    assert store.parents == set()
