"""The main loop's handling of what one turn of the selector brings."""

import os
import selectors
import socket
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.worker.children import Child, Gone
from central_dispatch.worker.executions import Rules, ahead
from central_dispatch.worker.frames import Channel
from central_dispatch.worker.parent import ParentLoop, Wishes


class BuryingChildren:
    """A double of `Children`: one child, whose end the fork server tells of."""

    def __init__(self, child: Child) -> None:
        self.child: Child | None = child

    def heed(self) -> list[Gone]:
        assert self.child
        return [Gone(self.child, "it ended")]

    def has(self, child: Child) -> bool:
        return child is self.child

    def forget(self, child: Child) -> None:
        child.channel.close()
        os.close(child.output)
        self.child = None

    def keep(self) -> None:
        """Start nobody."""


@pytest.mark.parametrize("what", ["channel", "output"])
def test_an_event_of_a_child_that_was_buried_in_the_same_turn_is_passed_over(tmp_path: Path, what: str) -> None:
    loop = ParentLoop(Rules(directory=tmp_path, kinds={}), Wishes())
    ours, theirs = socket.socketpair()
    output, _writing = os.pipe()
    child = Child(0, Channel(ours), output)
    children: Any = BuryingChildren(child)
    clerk: Any = None  # nothing runs, so nothing is settled
    loop._attach(clerk, children)
    # The selector brings both in one batch: the fork server's word first, then the dead child's own end of file.
    server = selectors.SelectorKey(None, 0, selectors.EVENT_READ, children)
    own = selectors.SelectorKey(None, 0, selectors.EVENT_READ, (child, what))
    theirs.close()
    loop._heed(server, selectors.EVENT_READ)
    reused = os.open(os.devnull, os.O_RDONLY)  # as a new child's pipe may get the old one's number
    loop._heed(own, selectors.EVENT_READ)
    assert children.child is None
    os.fstat(reused)
    os.close(reused)
    loop.close()


@pytest.mark.parametrize(("mean_s", "jobs"), [(0.0, 100), (0.001, 100), (0.004, 50), (0.01, 20), (0.02, 0), (60.0, 0)])
def test_about_twenty_milliseconds_of_work_are_claimed_ahead_and_nothing_ahead_of_long_jobs(
    mean_s: float, jobs: int
) -> None:
    assert ahead(10, mean_s) == jobs
