"""Runs of the host itself, such as its preparation: under a journal and the worker's lock, without a dispatcher."""

import uuid
from collections.abc import Callable
from pathlib import Path

from central_dispatch.host import identity, lock
from central_dispatch.host.carrier import Carried, Carrier
from central_dispatch.host.journal_file import Begin, Writing
from central_dispatch.host.journals import Journals, ReportedThrough, Unreadable
from central_dispatch.host.prepare import prepare
from central_dispatch.host.reserve import Reserve
from central_dispatch.host.resolved import Resolved, build, resolve
from central_dispatch.host.settings import Home, load
from central_dispatch.host.site import site_of
from central_dispatch.host.vault import FileVault
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import HostError, Problem

_KIND = "prepare"
_SAID = {"waiting": "waits", "stuck": "is stuck"}


def look(home: Home) -> Plan | list[Problem]:
    """Return the plan that mends what this host lacks, or what only a person can mend. Read-only."""
    found = _resolved(home)
    if isinstance(found, Problem):
        return [found]
    try:
        host = build(found, FileVault(found.state_directory / "vault"))
        return prepare(host, found.layout, site_of(host, found.layout, found.choices), str(found.sources_directory))
    except HostError as error:
        return [error.problem]
    except OSError as error:
        return [Problem("This host cannot be looked at", str(error), "Run the command as root.")]


def carry_out(home: Home, plan: Plan) -> Problem | None:
    """Carry out a plan of `look`; return why it was backed out, or what it waits for. Blocks."""
    found = _resolved(home)
    if isinstance(found, Problem):
        return found
    state = found.state_directory
    try:
        held = lock.take(state)
        if isinstance(held, lock.Held):
            what = f"The host worker runs (process {held.pid or 'unknown'})"
            return Problem(what, "both would change the web server's tree", "Stop it, prepare, then start it again.")
        try:
            host = build(found, FileVault(state / "vault"))
            return _locked(state, lambda: host, plan)
        finally:
            held.release()
    except HostError as error:
        return error.problem
    except OSError as error:
        return Problem(f"{state} cannot be used", error.strerror or str(error), "Run the command as root.")


def _resolved(home: Home) -> Resolved | Problem:
    settings = load(home)
    return settings if isinstance(settings, Problem) else resolve(settings, home)


def _locked(state: Path, host: Callable[[], Host], plan: Plan) -> Problem | None:
    journals = Journals(state / "journal", Writing(Reserve(state / "reserve")))
    journals.prepare()
    machine = identity.machine_id(state)
    carrier = Carrier(journals, host, machine, lambda: None)
    for run in journals.runs():
        # What a killed preparation left comes first; runs of instances are the host worker's.
        former = journals.look(run)
        if not isinstance(former, Unreadable) and former.plan.kind == _KIND and not former.ended:
            problem = _outcome(journals, run, carrier.recover(run, former.plan.instance), wanted=False)
            if problem:
                return problem
    run = uuid.uuid4().hex
    journals.create(Begin(run, machine, 0, plan)).close()
    return _outcome(journals, run, carrier.carry_on(run, plan.instance), wanted=True)


def _outcome(journals: Journals, run: str, carried: Carried, *, wanted: bool) -> Problem | None:
    if carried.standing in {"waiting", "stuck"}:
        return Problem(
            f"The preparation of this host {_SAID[carried.standing]}", carried.why, "Mend it, then prepare again."
        )
    # No dispatcher ordered it: nobody is to be told.
    journals.note_reported(run, ReportedThrough(carried.sequence, ended=True))
    state = journals.look(run)
    if carried.standing == "backed_out" and wanted and not isinstance(state, Unreadable):
        return state.backing_out
    return None
