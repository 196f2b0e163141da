"""The journals of a host: where they lie, which runs are open, and how far each was reported."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from central_dispatch.host import durable
from central_dispatch.host.journal_file import Begin, JournalFile, Writing, read
from central_dispatch.provisioning.journal import JournalDamaged, RunState, replay

_SUFFIX = ".jsonl"
#: How long a journal stays in place after its end was reported.
KEPT_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ReportedThrough:
    """How far a run was reported: up to which sequence, and whether that was its end."""

    through: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A journal that this release cannot follow: nothing of its run is touched. `why` is for people."""

    run: str
    why: str


class Journals:
    """One directory of journals. The holder of the host worker's lock is its only writer."""

    def __init__(self, directory: Path, writing: Writing) -> None:
        self._directory = directory
        self._old = directory / "old"
        self._writing = writing

    def prepare(self) -> None:
        """Make the directories, and remove what a killed process left half-made."""
        durable.make_private(self._directory)
        durable.make_private(self._old)
        for left in self._directory.glob(".*.new"):
            left.unlink(missing_ok=True)
        self._writing.reserve.make()

    def path(self, run: str) -> Path:
        """Return where a run's journal lies (or would)."""
        return self._directory / f"{run}{_SUFFIX}"

    def runs(self) -> list[str]:
        """Return the runs that have a journal in place, oldest first (ids are made in order of time)."""
        return sorted(path.name.removesuffix(_SUFFIX) for path in self._directory.glob(f"*{_SUFFIX}"))

    def has(self, run: str) -> bool:
        """Say whether the run ever began on this host."""
        return self.path(run).exists() or (self._old / self.path(run).name).exists()

    def look(self, run: str) -> RunState | Unreadable:
        """Return what a run's journal adds up to, without changing it."""
        try:
            state = replay(read(self.path(run)))
        except JournalDamaged as error:
            return Unreadable(run, f"{self.path(run)}: {error}")
        except OSError as error:
            return Unreadable(run, f"{self.path(run)} cannot be read: {error.strerror}")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return Unreadable(run, f"{self.path(run)} cannot be followed by this release: {error}")
        return state or Unreadable(run, f"{self.path(run)} has no first line")

    def create(self, begin: Begin) -> JournalFile:
        """Begin a run, durably; raises `FileExistsError` where it began before."""
        return JournalFile.create(self.path(begin.run), begin, self._writing)

    def open(self, run: str, instance: str) -> JournalFile:
        """Open a run's journal for further lines."""
        return JournalFile(self.path(run), run, instance, self._writing)

    def reported(self, run: str) -> ReportedThrough:
        """Return how far a run was reported, as far as we remember: reporting twice is harmless."""
        try:
            found = json.loads(durable.read(self._cursor(run)))
            return ReportedThrough(int(found["through"]), bool(found["ended"]))
        except (OSError, ValueError, KeyError, TypeError):
            return ReportedThrough()

    def note_reported(self, run: str, reported: ReportedThrough) -> None:
        """Remember how far a run was reported; a disk that is full costs a repetition."""
        with suppress(OSError):
            content = json.dumps({"through": reported.through, "ended": reported.ended})
            self._cursor(run).write_text(content, encoding="ascii")

    def make_reserve(self) -> bool:
        """Take the reserved place on the disk again; say whether it is held."""
        return self._writing.reserve.make()

    def retire(self, now: datetime) -> list[str]:
        """Move the journals away whose end was reported long ago; return their runs."""
        moved = []
        for run in self.runs():
            path = self.path(run)
            with suppress(OSError):
                if self.reported(run).ended and now.timestamp() - path.stat().st_mtime > KEPT_FOR.total_seconds():
                    path.rename(self._old / path.name)
                    self._cursor(run).unlink(missing_ok=True)
                    moved.append(run)
        if moved:
            durable.sync_directory(self._old)
            durable.sync_directory(self._directory)
        return moved

    def _cursor(self, run: str) -> Path:
        return self._directory / f"{run}.through"
