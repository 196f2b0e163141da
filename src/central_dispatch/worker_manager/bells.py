"""Rings after the commit: a bell before it would find no row."""

from collections.abc import Collection
from functools import cache

from django.db import transaction

from central_dispatch.brokers.embedded import EmbeddedBroker
from central_dispatch.brokers.places import open_broker
from central_dispatch.fleet.home import home_directory


@cache
def broker() -> EmbeddedBroker:
    """Return this process's broker."""
    return open_broker(home_directory())


def ring_after_commit(queues: Collection[str]) -> None:
    """Ring once the transaction at hand is committed; at once outside of one."""
    if queues:
        rung = tuple(dict.fromkeys(queues))
        transaction.on_commit(lambda: broker().ring(rung), robust=True)
