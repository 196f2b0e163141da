"""Rings after the commit: a bell before it would find no row.

In a child of a queue worker the parent rings; in every other process its own broker, one for all threads.
"""

import atexit
from collections.abc import Collection
from functools import cache

from django.db import transaction

from central_dispatch.brokers.places import open_broker
from central_dispatch.fleet.home import home_directory
from central_dispatch.jobs.ports import Broker
from central_dispatch.worker import ringing


@cache
def broker() -> Broker:
    """Return this process's broker. What it was asked to send is sent before the process ends."""
    found = open_broker(home_directory())
    atexit.register(found.close)
    return found


def ring_after_commit(queues: Collection[str]) -> None:
    """Ring once the transaction at hand is committed; at once outside of one."""
    _after_commit("ring", queues)


def call_after_commit(queues: Collection[str]) -> None:
    """Tell all parents of these queues, after the commit: something that runs there is to be interrupted."""
    _after_commit("call", queues)


def _after_commit(act: ringing.Act, queues: Collection[str]) -> None:
    if queues:
        rung = tuple(dict.fromkeys(queues))
        transaction.on_commit(lambda: _tell(act, rung), robust=True)


def _tell(act: ringing.Act, queues: tuple[str, ...]) -> None:
    if ringing.is_child():
        ringing.tell(act, queues)
    elif act == "ring":
        broker().ring(queues)
    else:
        broker().call(queues)
