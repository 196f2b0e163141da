"""A disk that is really full: a small file system of its own, filled in mid-run."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from central_dispatch.host.reserve import RESERVE_BYTES
from central_dispatch.provisioning.problem import HostError, Problem
from servers.host_world import Site, order, site

__all__ = ["site"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
SIZE = 4 << 20


@pytest.fixture
def small(site: Site) -> Iterator[Site]:
    """The site with its state on a file system of 4 MiB."""
    kept = {path.name: path.read_bytes() for path in site.state.iterdir()}
    mounted = subprocess.run(
        ["/usr/bin/mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "none", str(site.state)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"this machine lets nobody mount a file system: {mounted.stderr.strip()}")
    try:
        for name, content in kept.items():
            (site.state / name).write_bytes(content)
        yield site
        site.stop()
    finally:
        # Lazily: the kernel lets go when the last thread that holds a file has ended.
        subprocess.run(["/usr/bin/umount", "-l", str(site.state)], check=True)


def fill(directory: Path) -> None:
    """Leave not one byte free."""
    with (directory / "ballast").open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1 << 6, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_disk_that_fills_in_mid_run_does_not_keep_the_run_from_being_backed_out_and_reported(small: Site) -> None:
    reserve = small.state / "reserve"
    held: list[int] = []

    def fill_and_fail() -> None:
        held.append(reserve.stat().st_size)
        fill(small.state)
        # More than what is left of the journal's last block.
        raise HostError(Problem("It broke", "x" * 20_000))

    small.world.hooks["do", "site1-2"] = fill_and_fail
    small.dispatcher.give(order(1))
    small.start()
    kinds = small.dispatcher.await_kind(1, "end")
    assert held == [RESERVE_BYTES]
    assert kinds[-6:] == ["failed", "undo", "undone", "undo", "undone", "end"]
    assert small.world.things == {}
    assert not reserve.exists()
