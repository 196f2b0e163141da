"""Tells the dispatcher what happened: journal lines by run and sequence, while runs go on and long after them."""

import http.client
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from central_dispatch.host.dispatcher_client import Away, Gap, Refused, Superseded
from central_dispatch.host.journal_file import read_from
from central_dispatch.host.journals import Journals, ReportedThrough
from central_dispatch.host.link import Joined, Link
from central_dispatch.provisioning.journal import Entry
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.protocol import ChangeView, Report, Reported, RunEvent, StepView
from central_dispatch.provisioning.step import Step

_log = logging.getLogger(__name__)
#: The most events, and bytes of their JSON, in one report. The dispatcher takes 500 and 4 MB.
BATCH_EVENTS = 500
BATCH_BYTES = 1 << 20
# A text of a file in a plan, in characters: enough for any vhost.
_TEXT = 64 * 1024
_PARKED_S = 3600.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


#: Events, each with the offset behind its line.
_Batch = list[tuple[RunEvent, int]]


@dataclass(frozen=True, slots=True)
class _Position:
    """How far a run's journal was reported, in sequences and in bytes. `parked_until` is monotonic time."""

    through: int = 0
    offset: int = 0
    parked_until: float = 0.0


class Reporter:
    """Reports what `noticed` and `answer` tell it of. Nothing here ever waits for a run, or makes one wait."""

    def __init__(self, journals: Journals, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self._journals = journals
        self._link = link
        self._clock = clock
        self._lock = threading.Lock()
        self._reporting = threading.Lock()
        self._positions: dict[str, _Position] = {}
        self._answers: dict[str, RunEvent] = {}
        self._news = threading.Event()

    def load(self) -> None:
        """Take up what a former process did not get to report."""
        for run in self._journals.runs():
            if not self._journals.reported(run).ended:
                self.noticed(run)

    def noticed(self, run: str) -> None:
        """Note that a run has a new line."""
        with self._lock:
            if run not in self._positions:
                self._positions[run] = _Position(self._journals.reported(run).through)
        self._news.set()

    def answer(self, run: str, event: RunEvent) -> None:
        """Report the one event of a run without a journal; kept in memory until it was heard."""
        with self._lock:
            self._answers[run] = event
        self._news.set()

    def through(self, run: str) -> int:
        """Return up to which line the dispatcher has heard of a run."""
        with self._lock:
            position = self._positions.get(run)
        return position.through if position else self._journals.reported(run).through

    def known(self) -> tuple[str, ...]:
        """Return the runs that the dispatcher has not heard the end of."""
        with self._lock:
            return tuple(sorted({*self._positions, *self._answers}))

    def pending(self) -> bool:
        """Say whether something can be reported now: what was parked cannot."""
        now = self._clock()
        with self._lock:
            runs = [run for run, position in self._positions.items() if position.parked_until <= now]
            if self._answers:
                return True
        return any(self._unreported(run) for run in runs)

    def run(self, stop: threading.Event) -> None:
        """Report until `stop`; the thread's body."""
        pause_s = _FIRST_PAUSE_S
        while not stop.is_set() and not self._link.superseded:
            self._news.wait(1.0)
            self._news.clear()
            try:
                self.report()
                pause_s = _FIRST_PAUSE_S
            except Away as error:
                self._link.failed(error.problem)
                stop.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                self._news.set()
            except Exception:  # noqa: BLE001 what is not told today is told tomorrow; the thread must live
                _log.exception("reporting failed")
                stop.wait(_LONGEST_PAUSE_S)

    def wake(self) -> None:
        """Have the thread look at once, also whether it is to stop."""
        self._news.set()

    def report(self) -> None:
        """Report all there is; raises `Away`. Without a session nothing is said."""
        joined = self._link.joined
        if joined is None:
            return
        with self._reporting:
            self._report(joined)

    def _report(self, joined: Joined) -> None:
        with self._lock:
            answers, runs = dict(self._answers), sorted(self._positions)
        try:
            for run, event in answers.items():
                self._tell_answer(joined, run, event)
            for run in runs:
                while self._tell(joined, run):
                    pass
        except Superseded as error:
            self._link.stop(error)

    def _tell_answer(self, joined: Joined, run: str, event: RunEvent) -> None:
        try:
            joined.api.report(run, Report(session=joined.session, events=(event,)))
        except Refused as error:
            if error.status == http.client.UNAUTHORIZED:
                self._link.failed(error.problem)
                self._link.leave()
                return
            _log.warning("run %s: the answer was refused: %s", run, error)
        with self._lock:
            if self._answers.get(run) is event:
                del self._answers[run]

    def _unreported(self, run: str) -> bool:
        position = self._positions.get(run)
        if position is None:
            return False
        return any(entry.sequence > position.through for entry, _ in self._entries(run, position))

    def _entries(self, run: str, position: _Position) -> list[tuple[Entry, int]]:
        try:
            return list(read_from(self._journals.path(run), position.offset))
        except OSError as error:
            _log.warning("the journal of run %s cannot be read: %s", run, error)
            self._move(run, replace(position, parked_until=self._clock() + _LONGEST_PAUSE_S))
            return []

    def _tell(self, joined: Joined, run: str) -> bool:
        """Report one batch of a run; say whether there may be more."""
        with self._lock:
            position = self._positions.get(run)
        if position is None or position.parked_until > self._clock():
            return False
        batch = _batch(self._entries(run, position), position.through)
        if not batch:
            return False
        try:
            told, batch = _sent(joined, run, batch)
        except Refused as error:
            return self._refused(run, batch, error)
        self._link.answered()
        if isinstance(told, Gap):
            _log.info("run %s: the dispatcher has events up to %d only", run, told.through)
            # From the start again: only the file knows at which byte that event ends.
            self._move(run, _Position(told.through, parked_until=self._repeated_gap(position, told)))
            return True
        self._heard(run, batch, told.through)
        return True

    def _repeated_gap(self, position: _Position, gap: Gap) -> float:
        """Park a run whose gap cannot be closed: the dispatcher asks for what it was just sent."""
        return self._clock() + _PARKED_S if gap.through == position.through else 0.0

    def _heard(self, run: str, batch: _Batch, through: int) -> None:
        last, offset = batch[-1]
        ended = last.kind == "end" and through >= last.sequence
        self._journals.note_reported(run, ReportedThrough(through, ended))
        if ended:
            with self._lock:
                self._positions.pop(run, None)
        elif through == last.sequence:
            self._move(run, _Position(through, offset))
        else:
            self._move(run, _Position(through))

    def _refused(self, run: str, batch: _Batch, error: Refused) -> bool:
        if error.status == http.client.UNAUTHORIZED:
            self._link.failed(error.problem)
            self._link.leave()
            return False
        if error.status == http.client.NOT_FOUND and batch[-1][0].kind == "end":
            # The dispatcher never heard of it (a preparation, or it was restored): there is nobody to tell.
            self._heard(run, batch, batch[-1][0].sequence)
            return True
        _log.error("run %s is not reported for an hour: %s", run, error)
        self._move(run, replace(self._positions[run], parked_until=self._clock() + _PARKED_S))
        return False

    def _move(self, run: str, position: _Position) -> None:
        with self._lock:
            self._positions[run] = position


def _sent(joined: Joined, run: str, batch: _Batch) -> tuple[Reported | Gap, _Batch]:
    """Send a batch, or as much of its beginning as the dispatcher takes at once; return the answer and that part."""
    while True:
        message = Report(session=joined.session, events=tuple(event for event, _ in batch))
        try:
            return joined.api.report(run, message), batch
        except Refused as error:
            if error.status != http.client.REQUEST_ENTITY_TOO_LARGE or len(batch) == 1:
                raise
            batch = batch[: len(batch) // 2]


def _batch(entries: list[tuple[Entry, int]], through: int) -> _Batch:
    """Return the events to send next, each with the offset behind its line; at least one if there is any."""
    batch: _Batch = []
    size = 0
    for entry, offset in entries:
        if entry.sequence <= through:
            continue
        event = event_of(entry)
        size += len(event.model_dump_json())
        if batch and (size > BATCH_BYTES or len(batch) == BATCH_EVENTS):
            break
        batch.append((event, offset))
    return batch


def event_of(entry: Entry) -> RunEvent:
    """Return a journal line as the dispatcher is told it: of the plan only what people are shown."""
    data = _begin_data(entry.data) if entry.kind == "begin" else entry.data
    return RunEvent(sequence=entry.sequence, at=entry.at, kind=entry.kind, step=entry.step, data=data)


def _begin_data(data: dict[str, Any]) -> dict[str, Any]:
    try:
        plan = Plan.from_json(data["plan"])
    except (ValueError, KeyError, TypeError):
        return {"steps": [], "tail": []}
    return plan_views(plan)


def plan_views(plan: Plan) -> dict[str, Any]:
    """Return a plan's steps as `begin` and `planned` carry them."""
    return {"steps": [_view(step) for step in plan.steps], "tail": [_view(step) for step in plan.tail]}


def _view(step: Step) -> dict[str, Any]:
    changes = tuple(
        ChangeView(verb=change.verb, what=change.what, where=change.where, after=_shortened(change.after))
        for change in step.changes()
    )
    return StepView(name=step.name, title=step.title, changes=changes).model_dump(mode="json")


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}\n… cut"
