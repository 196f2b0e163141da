"""Rings after the commit: a bell before it would find no row.

In a child of a queue worker the parent rings; in every other process its own broker, one for all threads.
"""

import atexit
import threading
from collections.abc import Collection

from django.db import transaction

from central_dispatch.brokers.places import open_broker
from central_dispatch.fleet.home import home_directory
from central_dispatch.jobs.ports import Broker
from central_dispatch.worker import ringing

_lock = threading.Lock()
_opened: list[Broker] = []


def broker() -> Broker:
    """Return this process's broker. What it was asked to send is sent before the process ends: see `close`."""
    with _lock:
        if not _opened:
            _opened.append(open_broker(home_directory()))
        return _opened[0]


def close() -> None:
    """Send what was rung and is not sent. A process that ends soon calls it while threads can still be started.

    Without a thread no host's name is looked up: when the interpreter ends it is too late for that.
    """
    with _lock:
        found = list(_opened)
        _opened.clear()
    for one in found:
        one.close()


atexit.register(close)


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
