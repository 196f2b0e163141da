"""Journals on a real file system: cut anywhere, killed anywhere, on a disk that is full."""

import errno
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central_dispatch.host import durable
from central_dispatch.host.journal_file import (
    LINE_CHARACTERS,
    OUTPUT_CUT,
    OUTPUT_LINES,
    Begin,
    JournalFile,
    JournalUnwritable,
    Writing,
    read,
    read_from,
)
from central_dispatch.host.journals import Journals, ReportedThrough, Unreadable
from central_dispatch.host.reserve import RESERVE_BYTES, Reserve
from central_dispatch.provisioning.journal import Entry, JournalDamaged
from central_dispatch.provisioning.steps import STEPS
from servers.host_world import ThingStep, hex_id, plan_of

RUN, INSTANCE = hex_id(1), hex_id(2)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, ("test_thing", 1), ThingStep)


def writing(directory: Path, **more: Any) -> Writing:
    return Writing(Reserve(directory / "reserve"), now=lambda: NOW, **more)


def begun(directory: Path, **more: Any) -> JournalFile:
    begin = Begin(RUN, "m" * 32, 7, plan_of("acme", INSTANCE, "one", "two"))
    return JournalFile.create(directory / "run.jsonl", begin, writing(directory, **more))


def reopened(directory: Path, **more: Any) -> JournalFile:
    return JournalFile(directory / "run.jsonl", RUN, INSTANCE, writing(directory, **more))


def test_what_is_appended_is_read_back_by_the_next_process(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.append("intent", 0)
    journal.append("failed", 0, {"what": "it broke"})
    journal.close()
    entries = reopened(tmp_path).entries()
    assert [(entry.sequence, entry.kind, entry.step) for entry in entries] == [
        (1, "begin", -1),
        (2, "intent", 0),
        (3, "failed", 0),
    ]
    assert entries[2].at == "2026-01-02T03:04:05.000+00:00"
    assert entries[0].data["session"] == 7


def test_a_torn_last_line_is_cut_off_at_each_byte_before_anything_is_appended(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.append("intent", 0)
    whole = len((tmp_path / "run.jsonl").read_bytes())
    journal.append("done", 0)
    journal.close()
    content = (tmp_path / "run.jsonl").read_bytes()
    for length in range(whole, len(content)):
        (tmp_path / "run.jsonl").write_bytes(content[:length])
        again = reopened(tmp_path)
        again.append("undo", 0)
        again.close()
        assert [entry.kind for entry in read(tmp_path / "run.jsonl")] == ["begin", "intent", "undo"]


def test_a_journal_is_never_begun_twice(tmp_path: Path) -> None:
    begun(tmp_path).close()
    with pytest.raises(FileExistsError):
        begun(tmp_path)


def test_a_journal_that_is_a_link_is_refused(tmp_path: Path) -> None:
    begun(tmp_path).close()
    (tmp_path / "run.jsonl").rename(tmp_path / "elsewhere")
    (tmp_path / "run.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Too many levels"):
        reopened(tmp_path)


LINES = st.lists(
    st.tuples(st.sampled_from(["intent", "done", "output", "undo", "waiting"]), st.text(max_size=30)), max_size=8
)


@given(lines=LINES, cut=st.integers(min_value=0, max_value=5000))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_truncation_yields_a_prefix(lines: list[tuple[Any, str]], cut: int, tmp_path: Path) -> None:
    entries = [
        Entry(number, "2026-01-02T03:04:05", kind, 0, {"line": text})
        for number, (kind, text) in enumerate(lines, start=1)
    ]
    path = tmp_path / "cut.jsonl"
    path.write_bytes(b"".join(entry.to_line() for entry in entries)[:cut])
    found = read(path)
    assert found == entries[: len(found)]
    assert [entry for entry, _ in read_from(path, 0)] == found


@given(lines=LINES, place=st.floats(min_value=0, max_value=1), bit=st.integers(min_value=0, max_value=7))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_flipped_bit_yields_a_prefix_or_damage_never_garbage(
    lines: list[tuple[Any, str]], place: float, bit: int, tmp_path: Path
) -> None:
    entries = [
        Entry(number, "2026-01-02T03:04:05", kind, 0, {"line": text})
        for number, (kind, text) in enumerate(lines, start=1)
    ]
    content = bytearray(b"".join(entry.to_line() for entry in entries))
    if content:
        content[int(place * (len(content) - 1))] ^= 1 << bit
    path = tmp_path / "flipped.jsonl"
    path.write_bytes(content)
    try:
        found = read(path)
    except JournalDamaged:
        return
    assert found == entries[: len(found)]


def test_output_is_bounded_by_lines_also_across_a_restart(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    for number in range(OUTPUT_LINES // 2):
        journal.append("output", 0, {"line": str(number)})
    journal.close()
    journal = reopened(tmp_path)
    for number in range(OUTPUT_LINES * 2):
        journal.append("output", 0, {"line": str(number)})
    journal.append("output", 1, {"line": "another step's"})
    said = [entry.data["line"] for entry in journal.entries() if entry.kind == "output"]
    assert len(said) == OUTPUT_LINES + 2
    assert said[-2:] == [OUTPUT_CUT, "another step's"]


def test_output_is_bounded_by_bytes(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    for _ in range(OUTPUT_LINES):
        journal.append("output", 0, {"line": "x" * 10 * LINE_CHARACTERS})
    assert (tmp_path / "run.jsonl").stat().st_size < 100_000
    assert journal.entries()[-1].data["line"] == OUTPUT_CUT


def test_secrets_are_blotted_out_of_output_and_problems(tmp_path: Path) -> None:
    journal = begun(tmp_path, mask=lambda instance, text: text.replace("hunter2", f"<{instance[-1]}>"))
    journal.append("output", 0, {"line": "password hunter2"})
    journal.append("failed", 0, {"what": "hunter2 was refused", "why": "", "mend": ""})
    assert b"hunter2" not in (tmp_path / "run.jsonl").read_bytes()
    assert journal.entries()[1].data["line"] == "password <2>"


def test_waiting_for_hours_adds_no_lines(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.append("back_out", data={"what": "why"})
    for _ in range(100):
        journal.append("undo", 1)
        journal.append("waiting", data={"what": "database down"})
    journal.append("undone", 1)
    journal.append("undo", 0)
    journal.append("waiting", data={"what": "database down"})
    kinds = [entry.kind for entry in journal.entries()]
    assert kinds == ["begin", "back_out", "undo", "waiting", "undone", "undo", "waiting"]


class FullDisk:
    """Lets no more than so many bytes be written to journals while the reserve is held."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reserve: Path, room: int) -> None:
        self._write = durable.write_all
        self._reserve = reserve
        self._room = room
        monkeypatch.setattr(durable, "write_all", self)

    def __call__(self, fd: int, content: bytes) -> None:
        if self._reserve.exists() or self._room < 0:
            part = content[: max(self._room, 0)]
            self._write(fd, part)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._write(fd, content)


def test_on_a_full_disk_the_reserve_makes_room_and_the_line_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Reserve(tmp_path / "reserve").make()
    journal = begun(tmp_path)
    FullDisk(monkeypatch, tmp_path / "reserve", room=5)
    journal.append("failed", 0, {"what": "disk full"})
    journal.append("undo", 0)
    journal.close()
    assert not (tmp_path / "reserve").exists()
    assert [entry.kind for entry in read(tmp_path / "run.jsonl")] == ["begin", "failed", "undo"]


def test_without_a_reserve_a_full_disk_is_said_and_the_journal_can_be_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = begun(tmp_path)
    with monkeypatch.context() as patched:
        FullDisk(patched, tmp_path / "reserve", room=-1)
        with pytest.raises(JournalUnwritable, match="No space left"):
            journal.append("intent", 0)
    with pytest.raises(JournalUnwritable, match="opened again"):
        journal.append("intent", 0)
    journal.close()
    again = reopened(tmp_path)
    again.append("intent", 0)
    assert [entry.kind for entry in read(tmp_path / "run.jsonl")] == ["begin", "intent"]


def test_the_reserve_takes_real_room_and_is_made_again(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve")
    assert reserve.make()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    assert reserve.give_up()
    assert not reserve.give_up()
    assert reserve.make()


def test_a_line_whose_sync_failed_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun(tmp_path)

    def fails(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        with pytest.raises(JournalUnwritable):
            journal.append("intent", 0)
    journal.close()
    assert [entry.kind for entry in reopened(tmp_path).entries()] == ["begin"]


def test_what_is_reported_was_synced_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun(tmp_path)
    journal.append("output", 0, {"line": "not durable by itself"})
    done: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("sync"), real(fd))[1])
    for entry, _ in read_from(tmp_path / "run.jsonl", 0):
        done.append(entry.kind)
    assert done == ["sync", "begin", "output"]


def test_each_durable_line_is_synced_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun(tmp_path)
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real(fd))[1])
    journal.append("output", 0, {"line": "x"})
    assert synced == []
    journal.append("intent", 0)
    assert len(synced) == 1


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from servers.host_world import ThingStep, plan_of
from central_dispatch.host.journal_file import Begin, JournalFile, Writing
from central_dispatch.host.reserve import Reserve
from central_dispatch.provisioning.steps import STEPS
STEPS[("test_thing", 1)] = ThingStep
directory = Path(sys.argv[1])
path = directory / "run.jsonl"
writing = Writing(Reserve(directory / "reserve"))
if path.exists():
    journal = JournalFile(path, "1" * 32, "2" * 32, writing)
else:
    plan = plan_of("acme", "2" * 32, "one")
    journal = JournalFile.create(path, Begin("1" * 32, "m" * 32, 1, plan), writing)
for number in range(100000):
    entry = journal.append("intent", 0)
    print(entry.sequence, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 17])
def test_every_line_that_append_returned_survives_kill_9_again_and_again(tmp_path: Path, lines: int) -> None:
    seen = 1
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parents[2])],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(lines):
            seen = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        seen = max([seen, *(int(line) for line in process.stdout.read().splitlines() if line)])
        process.wait()
        entries = read(tmp_path / "run.jsonl")
        assert len(entries) >= seen
        assert entries[0].kind == "begin"


def test_a_half_made_journal_counts_as_never_begun(tmp_path: Path) -> None:
    journals = Journals(tmp_path / "journal", writing(tmp_path))
    journals.prepare()
    (tmp_path / "journal" / f".{RUN}.jsonl.new").write_bytes(b"half a li")
    journals.prepare()
    assert journals.runs() == []
    assert not journals.has(RUN)
    assert list((tmp_path / "journal").glob(".*")) == []


def test_a_journal_moves_away_long_after_its_end_was_reported_and_is_not_begun_again(tmp_path: Path) -> None:
    journals = Journals(tmp_path / "journal", writing(tmp_path))
    journals.prepare()
    journals.create(Begin(RUN, "m" * 32, 7, plan_of("acme", INSTANCE, "one"))).close()
    later = datetime.fromtimestamp(journals.path(RUN).stat().st_mtime + 31 * 86400, UTC)
    assert journals.retire(later) == []
    journals.note_reported(RUN, ReportedThrough(1, ended=True))
    assert journals.retire(datetime.now(UTC)) == []
    assert journals.retire(later) == [RUN]
    assert journals.runs() == []
    assert journals.has(RUN)


def test_a_journal_of_a_newer_release_is_named_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journals = Journals(tmp_path / "journal", writing(tmp_path))
    journals.prepare()
    journals.create(Begin(RUN, "m" * 32, 7, plan_of("acme", INSTANCE, "one"))).close()
    monkeypatch.delitem(STEPS, ("test_thing", 1))
    state = journals.look(RUN)
    assert isinstance(state, Unreadable)
    assert "this release does not know" in state.why
