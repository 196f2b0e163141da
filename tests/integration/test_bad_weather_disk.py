"""A disk that fills in mid-run, and while the run is backed out: nothing is left, and the journal ends."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from central_dispatch.host.journal_file import JournalFile, JournalUnwritable, read
from central_dispatch.host.reserve import RESERVE_BYTES, Reserve
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.journal import replay
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.saga import Saga
from servers.fingerprint import difference
from servers.host_rig import HostRig, add_source
from servers.own_lines import own_lines
from servers.weather import fresh, journal_of, make_source, watched

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a file system of its own")

# A journal's last page has room for some lines; that many need another one.
CHATTY = "i=0; while [ $i -lt 190 ]; do echo line $i, with some words more; i=$((i+1)); done; exit 1"
MEGABYTES = 72  # the plan asks for 64 MiB and the source's size


@pytest.fixture
def rig(sandbox: Sandbox) -> Iterator[HostRig]:
    """A rig whose journals, vault and web roots lie on one small file system."""
    add_source(sandbox, "sample")
    place = sandbox.directory / "small"
    place.mkdir()
    options = f"size={MEGABYTES}m,mode=755"
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        (place / "www").mkdir(mode=0o755)
        (place / "state").mkdir(mode=0o700)
        yield HostRig(
            OnSmallDisk(place, replace(sandbox, layout=replace(sandbox.layout, install_path=str(place / "www"))))
        )
    finally:
        subprocess.run(["/bin/umount", "-l", place], check=True)
        place.rmdir()


class OnSmallDisk(Sandbox):
    """A sandbox whose state lies elsewhere."""

    __slots__ = ("_place",)

    def __init__(self, place: Path, inner: Sandbox) -> None:
        super().__init__(inner.directory, inner.domain, inner.layout, inner.apache, inner.mariadb)
        object.__setattr__(self, "_place", place)

    @property
    def state_directory(self) -> Path:
        """On the small disk."""
        return Path(self._place) / "state"


def fill(rig: HostRig) -> None:
    """Leave not one byte."""
    path = Path(rig.sandbox.layout.install_path).parent / "filler"
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 65536)
    assert rig.host.files.free_bytes(str(path)) == 0


def host_lines(rig: HostRig) -> list[str]:
    """Return the fingerprint without what is the host worker's own, or the filler."""
    own = Path(rig.sandbox.layout.install_path).parent
    return [line for line in own_lines(rig.sandbox) if not line.startswith((f"file {own}/state", f"file {own}/filler"))]


def make_room(rig: HostRig) -> None:
    (Path(rig.sandbox.layout.install_path).parent / "filler").unlink()


def at(rig: HostRig, *moments: tuple[str, str]) -> Callable[[str, str], None]:
    def seen(kind: str, name: str) -> None:
        if (kind, name) in moments:
            fill(rig)

    return seen


MOMENTS = {
    "while the command prints": ("output", "install"),
    "before the code": ("intent", "code"),
    "before the configuration": ("intent", "config_files"),
    "before the virtual host": ("done", "php_pool"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_disk_that_fills_in_mid_run_has_it_backed_out_and_the_reserve_is_made_again(
    rig: HostRig, moment: str
) -> None:
    reserve = Reserve(rig.sandbox.state_directory / "reserve")
    assert reserve.make()
    clean = host_lines(rig)
    saga = watched(rig, fresh(rig), at(rig, MOMENTS[moment]))
    standing = saga.carry_on()
    assert standing == "backed_out"
    assert "No space left" in str(saga.state.backing_out), saga.state.backing_out
    assert read(journal_of(saga, rig))[-1].kind == "end"
    make_room(rig)
    assert reserve.make()
    assert (rig.sandbox.state_directory / "reserve").stat().st_size == RESERVE_BYTES
    assert difference(clean, host_lines(rig)) == []


@pytest.mark.parametrize("step", ["virtual_host", "php_pool", "code", "web_root", "system_user"])
def test_a_disk_that_fills_during_the_back_out_leaves_nothing_and_the_journal_ends(rig: HostRig, step: str) -> None:
    assert Reserve(rig.sandbox.state_directory / "reserve").make()
    clean = host_lines(rig)
    enabled: list[str] = []

    def seen(kind: str, name: str) -> None:
        if (kind, name) == ("done", "virtual_host"):
            enabled.append(name)
        if (kind, name) == ("undo", step):
            fill(rig)

    # An administrator has it backed out when nearly everything is made.
    saga = watched(rig, fresh(rig), seen, lambda: Problem("ada wants it back") if enabled else None)
    assert saga.carry_on() == "backed_out"
    assert "ada wants it back" in str(saga.state.backing_out)
    assert read(journal_of(saga, rig))[-1].kind == "end"
    make_room(rig)
    assert difference(clean, host_lines(rig)) == []


def test_the_reserve_carries_the_journal_over_a_disk_that_is_full(rig: HostRig) -> None:
    reserve = rig.sandbox.state_directory / "reserve"
    assert Reserve(reserve).make()
    clean = host_lines(rig)
    filled: list[str] = []

    def seen(kind: str, _name: str) -> None:
        if kind == "output" and not filled:
            filled.append(kind)
            fill(rig)

    saga = watched(rig, fresh(rig, make_source(rig.sandbox, "weather", CHATTY)), seen)
    assert saga.carry_on() == "backed_out"
    assert not reserve.exists(), "it was needed"
    kinds = [entry.kind for entry in read(journal_of(saga, rig))]
    assert kinds.count("output") == 190
    assert kinds[-1] == "end"
    make_room(rig)
    assert Reserve(reserve).make()
    assert difference(clean, host_lines(rig)) == []


def test_a_disk_that_stays_full_beyond_the_reserve_holds_the_run_up_until_there_is_room(rig: HostRig) -> None:
    """Somebody eats each byte that is freed: no line can be written, so nothing may be done either."""
    assert Reserve(rig.sandbox.state_directory / "reserve").make()
    clean = host_lines(rig)
    greedy = True

    def seen(_kind: str, name: str) -> None:
        if greedy and name == "install":
            fill(rig)

    saga = watched(rig, fresh(rig, make_source(rig.sandbox, "weather", CHATTY)), seen)
    with pytest.raises(JournalUnwritable):
        saga.carry_on()
    state = replay(read(journal_of(saga, rig)))
    assert state
    assert not state.committed
    greedy = False
    make_room(rig)
    again = Saga(rig.host, JournalFile(journal_of(saga, rig), state.run, state.plan.instance, rig.writing()))
    assert again.recover() == "backed_out"
    assert difference(clean, host_lines(rig)) == []
