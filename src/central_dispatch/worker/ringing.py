"""Bells that job code rings: a child speaks to no broker, its parent rings for it."""

from collections.abc import Callable, Collection
from typing import Literal

Act = Literal["ring", "call"]
_parent: list[Callable[[Act, list[str]], None]] = []


def ring_through(parent: Callable[[Act, list[str]], None]) -> None:
    """From now on this process is a child: `parent` is told whom to ring, or to call."""
    _parent[:] = [parent]


def is_child() -> bool:
    """Say whether this process is a queue worker's child."""
    return bool(_parent)


def tell(act: Act, queues: Collection[str]) -> None:
    """Have the parent ring, or call; only in a child."""
    _parent[0](act, list(queues))
