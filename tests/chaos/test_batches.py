"""A message that is split while its child and its parent are killed: each job is there once."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from queue_workers.portal_rig import PortalRig, split_under_fire


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[PortalRig]:
    made = PortalRig(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_a_message_that_is_killed_in_the_middle_again_and_again_becomes_each_job_once(portal: PortalRig) -> None:
    found = split_under_fire(portal, children=12_000, kills=6, random=Random(11))  # noqa: S311 moments
    assert (found.children, found.doubled, found.missing) == (12_000, 0, 0)
    assert found.killed["child"] + found.killed["parent"] > 0
    assert found.executions > 1  # it was really interrupted
    [batch] = portal.rows("SELECT total, expected FROM job_batch")
    assert batch == {"total": 12_000, "expected": 12_000}
