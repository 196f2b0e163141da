"""What a child takes in from its parent, however it is cut and whenever it comes."""

import socket
from collections.abc import Iterator

import pytest

from central_dispatch.worker.child import Child
from central_dispatch.worker.frames import encode
from central_dispatch.worker.messages import Rules

ORDER = {"job": 7, "fence": 3, "handler": "x:y"}
STOP = {"stop": True, "job": 7, "fence": 3}


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Child]]:
    ours, theirs = socket.socketpair()
    yield ours, Child(theirs, Rules(recycle_jobs=10, resident_bytes=1 << 40, limit_bytes=0))
    ours.close()
    theirs.close()


def test_a_wish_to_stop_that_comes_together_with_its_order_is_heard(ends: tuple[socket.socket, Child]) -> None:
    ours, child = ends
    ours.sendall(encode(ORDER) + encode(STOP))
    assert child._next() == ORDER
    child._running = (7, 3)
    assert child._asks_to_stop()


def test_a_wish_to_stop_that_was_for_the_execution_before_stops_no_other(ends: tuple[socket.socket, Child]) -> None:
    ours, child = ends
    ours.sendall(encode(STOP) + encode(ORDER | {"fence": 4}))
    assert child._next() == ORDER | {"fence": 4}
    child._running = (7, 4)
    assert not child._asks_to_stop()
    ours.sendall(encode(STOP | {"fence": 4}))
    assert child._asks_to_stop()


def test_a_parent_that_is_gone_is_a_wish_to_stop(ends: tuple[socket.socket, Child]) -> None:
    ours, child = ends
    ours.sendall(encode(ORDER))
    child._next()
    child._running = (7, 3)
    ours.shutdown(socket.SHUT_WR)
    assert child._asks_to_stop()
