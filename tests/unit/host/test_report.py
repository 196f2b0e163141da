"""What the reporter sends: bounded, in order, once heard never again, and never what a run waits for."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from central_dispatch.host.dispatcher_client import Away, Gap, Refused, Superseded
from central_dispatch.host.journal_file import Begin, JournalFile, Writing
from central_dispatch.host.journals import Journals
from central_dispatch.host.link import Joined, Link
from central_dispatch.host.report import BATCH_EVENTS, Reporter
from central_dispatch.host.reserve import Reserve
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.protocol import Report, Reported, RunEvent
from central_dispatch.provisioning.steps import STEPS
from servers.host_world import ThingStep, hex_id, plan_of
from servers.scripted_dispatcher import Dispatcher

RUN = hex_id(1)


class Listening(Dispatcher):
    """Keeps the size of each report; refuses what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.largest = 10_000
        self.refusal: HostError | None = None

    def report(self, run: str, message: Report) -> Reported | Gap:
        self.sizes.append(len(message.events))
        if self.refusal:
            raise self.refusal
        if len(message.events) > self.largest:
            raise Refused(Problem("too large"), 413)
        return super().report(run, message)


@dataclass
class Rig:
    """A journal, a reporter and a dispatcher."""

    journals: Journals
    dispatcher: Listening = field(default_factory=Listening)
    link: Link = field(default_factory=Link)
    now: float = 0.0

    def reporter(self) -> Reporter:
        made = Reporter(self.journals, self.link, clock=lambda: self.now)
        made.load()
        return made

    def journal(self) -> JournalFile:
        return self.journals.create(Begin(RUN, "m" * 32, 1, plan_of("acme", hex_id(2), "one")))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.dispatcher.events.get(RUN, [])]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setitem(STEPS, ("test_thing", 1), ThingStep)
    journals = Journals(tmp_path / "journal", Writing(Reserve(tmp_path / "reserve")))
    journals.prepare()
    made = Rig(journals)
    made.link.join(Joined(made.dispatcher, 1), "")
    return made


def test_many_lines_go_in_batches_of_the_dispatchers_size(rig: Rig) -> None:
    journal = rig.journal()
    for _ in range(BATCH_EVENTS + 10):
        journal.append("retry")
    rig.reporter().report()
    assert rig.dispatcher.sizes == [BATCH_EVENTS, 11]
    assert len(rig.kinds()) == BATCH_EVENTS + 11


def test_what_was_heard_is_not_said_again_not_even_by_the_next_process(rig: Rig) -> None:
    journal = rig.journal()
    rig.reporter().report()
    journal.append("intent", 0)
    rig.reporter().report()
    assert rig.dispatcher.sizes == [1, 1]
    journal.append("end", data={"ending": "backed_out"})
    reporter = rig.reporter()
    assert reporter.known() == (RUN,)
    reporter.report()
    assert reporter.known() == ()
    assert rig.reporter().known() == ()
    assert rig.kinds() == ["begin", "intent", "end"]


def test_a_report_that_is_too_large_is_halved_until_it_fits(rig: Rig) -> None:
    rig.dispatcher.largest = 6
    journal = rig.journal()
    for _ in range(20):
        journal.append("retry")
    reporter = rig.reporter()
    for _ in range(10):
        rig.now += 10_000
        reporter.report()
    assert len(rig.kinds()) == 21


def test_a_dispatcher_that_is_away_loses_nothing(rig: Rig) -> None:
    journal = rig.journal()
    reporter = rig.reporter()
    rig.dispatcher.refusal = Away(Problem("away"))
    with pytest.raises(Away):
        reporter.report()
    journal.append("intent", 0)
    reporter.answer(hex_id(5), RunEvent(sequence=1, at="2026-01-01T00:00:00", kind="refused"))
    assert reporter.pending()
    rig.dispatcher.refusal = None
    reporter.report()
    assert rig.kinds() == ["begin", "intent"]
    assert hex_id(5) in rig.dispatcher.events
    assert not reporter.pending()


def test_a_run_that_the_dispatcher_refuses_is_parked_and_tried_again_later(rig: Rig) -> None:
    rig.journal()
    reporter = rig.reporter()
    rig.dispatcher.refusal = Refused(Problem("another host's"), 403)
    reporter.report()
    reporter.report()
    assert rig.dispatcher.sizes == [1]
    rig.dispatcher.refusal = None
    rig.now += 2 * 3600
    reporter.report()
    assert rig.kinds() == ["begin"]


def test_the_end_of_a_run_that_the_dispatcher_does_not_know_is_told_nobody(rig: Rig) -> None:
    rig.journal().append("end", data={"ending": "committed"})
    reporter = rig.reporter()
    rig.dispatcher.refusal = Refused(Problem("absent"), 404)
    reporter.report()
    assert reporter.known() == ()
    assert rig.journals.reported(RUN).ended


def test_a_revoked_credential_ends_the_session_and_keeps_everything(rig: Rig) -> None:
    rig.journal()
    reporter = rig.reporter()
    reporter.answer(hex_id(5), RunEvent(sequence=1, at="2026-01-01T00:00:00", kind="refused"))
    rig.dispatcher.refusal = Refused(Problem("revoked"), 401)
    reporter.report()
    assert rig.link.joined is None
    assert set(reporter.known()) == {RUN, hex_id(5)}


def test_a_newer_session_stops_the_reporting(rig: Rig) -> None:
    rig.journal()
    rig.dispatcher.refusal = Superseded(Problem("newer"))
    rig.reporter().report()
    assert rig.link.superseded == Problem("newer")


def test_a_gap_that_cannot_be_closed_does_not_go_round_for_ever(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.journal()
    calls: list[int] = []

    def gap(_run: str, message: Report) -> Gap:
        calls.append(len(message.events))
        return Gap(0)

    monkeypatch.setattr(rig.dispatcher, "report", gap)
    rig.reporter().report()
    assert calls == [1]


def test_without_a_session_nothing_is_said(rig: Rig) -> None:
    rig.journal()
    rig.link.leave()
    rig.reporter().report()
    assert rig.dispatcher.sizes == []


def test_a_plan_is_told_as_steps_without_its_undo_data(rig: Rig) -> None:
    rig.journal()
    rig.reporter().report()
    assert set(rig.dispatcher.events[RUN][0].data) == {"steps", "tail"}
