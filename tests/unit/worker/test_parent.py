"""The main loop's handling of what one turn of the selector brings."""

import os
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.jobs.job import Claim
from central_dispatch.jobs.outcome import Released
from central_dispatch.worker.children import Child, Gone
from central_dispatch.worker.clerk import Claimed, Ended
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


class Listening:
    """A double of the clerk: takes down what ended."""

    def __init__(self) -> None:
        self.told: list[Ended] = []

    def ended(self, ended: Ended) -> None:
        self.told.append(ended)

    def claim_ahead(self, jobs: int) -> None:
        assert jobs == 0


class NoChildren:
    """A double of `Children` where no process can be made."""

    def idle(self) -> Iterator[Child]:
        return iter(())

    def keep(self) -> None:
        """Try in vain."""


def test_where_no_process_can_be_made_what_was_claimed_goes_back_uncounted(tmp_path: Path) -> None:
    loop = ParentLoop(Rules(directory=tmp_path, kinds={}), Wishes())
    clerk: Any = Listening()
    children: Any = NoChildren()
    loop._attach(clerk, children)
    claim = Claim(job=7, kind="q", payload={}, payload_version=1, fence=3, attempts=0, deferrals=0, priority=5)
    loop.post(Claimed([claim]))
    loop._read_inbox(100.0)
    loop._begin(100.5)
    loop._tick(100.5)
    assert clerk.told == [], "one may be made soon"
    loop._begin(101.5)
    loop._tick(101.5)
    assert [(ended.claim, ended.outcome) for ended in clerk.told] == [(claim, Released())]
    loop.close()


def test_a_late_word_to_a_loop_that_is_closed_goes_into_no_other_file(tmp_path: Path) -> None:
    loop = ParentLoop(Rules(directory=tmp_path, kinds={}), Wishes())
    number = loop.wake_descriptor
    loop.close()
    file = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    os.dup2(file, number)
    loop.post(None)
    assert (tmp_path / "other").read_bytes() == b""
    for descriptor in {file, number}:
        os.close(descriptor)
