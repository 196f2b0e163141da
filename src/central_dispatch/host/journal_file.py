"""The journal of one run as a file: lines are only ever appended, and are on the disk before what they announce."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from central_dispatch.host import durable
from central_dispatch.host.reserve import Reserve, is_full
from central_dispatch.provisioning.journal import DURABLE_KINDS, Entry, Kind, read_entries
from central_dispatch.provisioning.plan import Plan

#: A step's output in the journal: at most so many lines and bytes, then one line that says it was cut.
OUTPUT_LINES = 200
OUTPUT_BYTES = 64 * 1024
LINE_CHARACTERS = 2000
OUTPUT_CUT = "… more output was cut"
# What a run that waits for a server says again and again; nothing is learnt from the second time.
_REPEATED = frozenset({"waiting", "undo", "tail_intent"})


class JournalUnwritable(Exception):
    """A line could not be made durable, so whether it is on the disk is unknown; open the journal again."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Writing:
    """What every journal of a host is written with."""

    reserve: Reserve
    mask: Callable[[str, str], str] = lambda _instance, text: text  # (instance, text) → text without its secrets
    now: Callable[[], datetime] = _utc_now
    appended: Callable[[str], None] = lambda _run: None  # is told the run of each new line


@dataclass(frozen=True, slots=True)
class Begin:
    """What a journal's first line holds. `session` is the dispatcher's number for it."""

    run: str
    machine: str
    session: int
    plan: Plan


class JournalFile:
    """Adapter of `saga.Journal`. One writer a file; a reader may look at it at any time (see `read`).

    `append` raises `JournalUnwritable`; after that the journal takes no further line and has to be opened again.
    """

    def __init__(self, path: Path, run: str, instance: str, writing: Writing) -> None:
        """Open a journal that `create` made or a former process left; a torn last line is cut off."""
        self._run = run
        self._instance = instance
        self._writing = writing
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._entries, self._size = _parse(path.read_bytes())
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)
        except BaseException:
            self.close()
            raise
        self._broken = False
        self._output: dict[int, tuple[int, int]] = {}
        self._said: dict[tuple[str, int, str], Entry] = {}
        for entry in self._entries:
            self._remember(entry)

    @classmethod
    def create(cls, path: Path, begin: Begin, writing: Writing) -> "JournalFile":
        """Make a journal whose first line is complete on the disk, or none; raises `FileExistsError`."""
        told = {"run": begin.run, "machine": begin.machine, "session": begin.session, "plan": begin.plan.to_json()}
        line = Entry(1, _stamp(writing), "begin", data=told).to_line()
        draft = path.with_name(f".{path.name}.new")
        draft.unlink(missing_ok=True)
        durable.write(draft, line)
        try:
            path.hardlink_to(draft)
        finally:
            draft.unlink()
        durable.sync_directory(path.parent)
        writing.appended(begin.run)
        return cls(path, begin.run, begin.plan.instance, writing)

    def append(self, kind: Kind, step: int = -1, data: dict[str, Any] | None = None) -> Entry:
        """See `saga.Journal`. What a step prints is bounded; secrets are blotted out of whatever is said."""
        told = self._masked(data or {})
        entry = Entry(len(self._entries) + 1, _stamp(self._writing), kind, step, told)
        if kind == "output":
            bounded = self._bounded(entry)
            if bounded is None:
                return self._entries[-1]
            entry = bounded
        if kind in _REPEATED and (before := self._said.get(_key(entry))):
            return before
        self._write(entry)
        return entry

    def entries(self) -> list[Entry]:
        """See `saga.Journal`."""
        return list(self._entries)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _masked(self, data: dict[str, Any]) -> dict[str, Any]:
        def blot(value: object) -> object:
            return self._writing.mask(self._instance, value) if isinstance(value, str) else value

        return {key: blot(value) for key, value in data.items()}

    def _bounded(self, entry: Entry) -> Entry | None:
        """Return the line of output as it is kept; None once the step's bound is passed."""
        lines, size = self._output.get(entry.step, (0, 0))
        line = str(entry.data.get("line", ""))[:LINE_CHARACTERS]
        if lines > OUTPUT_LINES or size > OUTPUT_BYTES:
            return None
        if lines == OUTPUT_LINES or size + len(line.encode()) > OUTPUT_BYTES:
            self._output[entry.step] = (OUTPUT_LINES + 1, size)
            return replace(entry, data={"line": OUTPUT_CUT})
        return replace(entry, data={"line": line})

    def _write(self, entry: Entry) -> None:
        if self._broken:
            raise JournalUnwritable("the journal takes no further line before it was opened again")
        line = entry.to_line()
        try:
            self._put(line)
            if entry.kind in DURABLE_KINDS:
                os.fsync(self._fd)
        except OSError as error:
            self._broken = True
            self._take_back(error)
            raise JournalUnwritable(f"the journal cannot be written: {error.strerror or error}") from error
        self._size += len(line)
        self._entries.append(entry)
        self._remember(entry)
        self._writing.appended(self._run)

    def _take_back(self, error: OSError) -> None:
        """Cut off a line that may not be on the disk: a later look at the file must not take it for one that is."""
        with suppress(OSError):
            if is_full(error):
                self._writing.reserve.give_up()
            os.ftruncate(self._fd, self._size)

    def _put(self, line: bytes) -> None:
        try:
            durable.write_all(self._fd, line)
        except OSError as error:
            if not is_full(error) or not self._writing.reserve.give_up():
                raise
            # A part of the line may be there; the whole one goes into its place.
            os.ftruncate(self._fd, self._size)
            durable.write_all(self._fd, line)

    def _remember(self, entry: Entry) -> None:
        if entry.kind == "output":
            lines, size = self._output.get(entry.step, (0, 0))
            line = str(entry.data.get("line", ""))
            if line != OUTPUT_CUT:
                self._output[entry.step] = (lines + 1, size + len(line.encode()))
            else:
                self._output[entry.step] = (OUTPUT_LINES + 1, size)
        elif entry.kind in _REPEATED:
            self._said[_key(entry)] = entry
        else:
            self._said.clear()


def _key(entry: Entry) -> tuple[str, int, str]:
    return entry.kind, entry.step, repr(sorted(entry.data.items()))


def _stamp(writing: Writing) -> str:
    return writing.now().isoformat(timespec="milliseconds")


def _parse(content: bytes) -> tuple[list[Entry], int]:
    """Return a journal's entries, and the length of the part of the file that they fill."""
    lines = content.splitlines(keepends=True)
    entries = read_entries(lines)
    return entries, sum(map(len, lines[: len(entries)]))


def read(path: Path) -> list[Entry]:
    """Return a journal's complete lines without changing the file; raises `JournalDamaged`, `OSError`."""
    return _parse(path.read_bytes())[0]


def read_from(path: Path, offset: int) -> Iterator[tuple[Entry, int]]:
    """Yield the entries from a byte offset on, each with the offset behind it.

    They are on the disk before the first is yielded: what a power cut could take back is told nobody.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        end = os.fstat(fd).st_size
        os.fsync(fd)
        file.seek(offset)
        content = file.read(max(0, end - offset))
    for line in content.splitlines(keepends=True):
        entry = Entry.from_line(line)
        if entry is None:
            return
        offset += len(line)
        yield entry, offset
