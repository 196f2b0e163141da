"""What the parent makes of what its fork server says."""

import json
import os
import selectors
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.worker import children as module
from central_dispatch.worker.children import Child, Children, _Server
from central_dispatch.worker.leftovers import MARK
from central_dispatch.worker.messages import Rules, Start, read_order


class Ended:
    """A double of the fork server's process: it can be ended."""

    def kill(self) -> None:
        """Nothing to end."""

    def wait(self, _timeout: float = 0.0) -> int:
        return -9


@pytest.fixture
def said() -> Iterator[tuple[Children, socket.socket]]:
    """One slot, and the fork server's end of the socket."""
    selector = selectors.DefaultSelector()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setblocking(False)  # noqa: FBT003 the name says it
    start = Start(-1, 1.0, (), Rules(1000, 1 << 30, 0))
    children = Children(1, start, {MARK: "-"}, Path("/"), selector)
    process: Any = Ended()
    children._server = _Server(process, ours, time.monotonic())
    selector.register(ours, selectors.EVENT_READ, children)
    yield children, theirs
    for child in list(children._children.values()):
        children.forget(child)
    for end in (ours, theirs):
        end.close()
    selector.close()


def begun(children: Children, server: socket.socket) -> Child:
    """A child that was asked for, and has a job at once."""
    children.keep()
    order = read_order(server)
    assert order
    assert order.message == {"start": 0}
    for descriptor in order.descriptors:
        os.close(descriptor)
    [child] = children.idle()
    children.give(child, {"job": 7})
    return child


def test_a_child_that_could_not_be_made_never_ran_its_job_and_the_next_one_waits(
    said: tuple[Children, socket.socket],
) -> None:
    children, server = said
    child = begun(children, server)
    server.send(json.dumps({"refused": 0, "why": "no room"}).encode())
    [gone] = children.heed()
    assert (gone.child, gone.unbegun) == (child, True)
    children.forget(child)
    children.keep()
    with pytest.raises(BlockingIOError):
        read_order(server)
    assert list(children.idle()) == []


@pytest.mark.parametrize("is_process", [True, False])
def test_when_the_fork_server_ends_only_what_was_no_process_yet_is_known_not_to_have_begun(
    said: tuple[Children, socket.socket], monkeypatch: pytest.MonkeyPatch, *, is_process: bool
) -> None:
    children, server = said
    monkeypatch.setattr(module, "_end_adopted", lambda _mark: None)  # the test run's own children are left alone
    begun(children, server)
    if is_process:
        server.send(json.dumps({"started": 0, "pid": 99}).encode())
    server.shutdown(socket.SHUT_RDWR)
    [gone] = children.heed()
    assert gone.unbegun is not is_process
