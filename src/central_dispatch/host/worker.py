"""The host worker: recovers first, then claims runs, carries them out and reports, until it is told to stop."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from central_dispatch.host import identity, lock
from central_dispatch.host.conversation import Conversation
from central_dispatch.host.dispatcher_client import DispatcherApi, DispatcherClient, Superseded
from central_dispatch.host.identity import Identity
from central_dispatch.host.journal_file import Writing
from central_dispatch.host.journals import Journals
from central_dispatch.host.link import Link
from central_dispatch.host.machine import ConfiguredMachine, Machine
from central_dispatch.host.orders import Surroundings
from central_dispatch.host.report import Reporter
from central_dispatch.host.reserve import Reserve
from central_dispatch.host.resolved import state_directory_of
from central_dispatch.host.runs import Runs
from central_dispatch.host.settings import Home, load
from central_dispatch.host.vault import FileVault
from central_dispatch.provisioning.ports import Vault
from central_dispatch.provisioning.problem import HostError, Problem

_log = logging.getLogger(__name__)
_TICK_S = 1.0
_UPKEEP_S = 1.0
_HOUSEKEEPING_S = 60.0
_ONCE_CLAIM_S = 2.0
#: How long a stop waits for runs under way; what is not done by then is recovered at the next start.
FINISH_S = 60.0
_FLUSH_S = 15.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a host worker ended: the exit status, and why in one line (empty: it was told to)."""

    code: int
    text: str = ""


OK = 0
UNREACHABLE = 5
LOCK_HELD = 75
SUPERSEDED = 76


def connect(found: Identity) -> DispatcherApi:
    """Return the client of an enrolled host."""
    return DispatcherClient(found.url, found.pin, found.credential)


def open_vault(state: Path) -> FileVault:
    """Return the vault that lies in a host worker's state directory."""

    def opener() -> tuple[str, X25519PrivateKey] | None:
        found, key = identity.load(state), identity.sealing_key(state)
        return (found.worker, key) if isinstance(found, Identity) and key is not None else None

    return FileVault(state / "vault", opener)


def run(home: Home, *, once: bool = False, stop: threading.Event | None = None) -> Ended:
    """Run this host's worker: until SIGTERM, SIGINT or `stop`; or `once`, for cron.

    Blocks. The caller sets up logging, and exits with the code that is returned.
    """
    settings = load(home)
    if isinstance(settings, Problem):
        return Ended(1, str(settings))
    state = state_directory_of(settings, home)
    try:
        held = lock.take(state)
    except OSError as error:
        return Ended(1, f"{state} cannot be used: {error.strerror}. Run the host worker as root.")
    if isinstance(held, lock.Held):
        return Ended(LOCK_HELD, f"Another host worker runs on this host (process {held.pid or 'unknown'}).")
    vault = open_vault(state)
    worker = HostWorker(state, vault, ConfiguredMachine(home, vault), watched=home.settings_path)
    stop = stop or threading.Event()
    _stop_at_signals(stop)
    ended = worker.once(stop) if once else worker.serve(stop)
    if worker.is_idle():
        # With a thread still at work the lock stays until the process is gone.
        held.release()
    return ended


def _stop_at_signals(stop: threading.Event) -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def told(number: int, _frame: FrameType | None) -> None:
        _log.info("told to stop by signal %d", number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)


class HostWorker:
    """One host worker; its caller holds the host's lock. `watched` is the settings file."""

    def __init__(
        self,
        state: Path,
        vault: Vault,
        machine: Machine,
        *,
        watched: Path | None = None,
        connect: Callable[[Identity], DispatcherApi] = connect,
    ) -> None:
        self._state = state
        self._machine = machine
        self._watched = watched
        self._signature = self._look_at_settings()
        self._link = Link()
        writing = Writing(Reserve(state / "reserve"), mask=_masking(vault), appended=self._noticed)
        self._journals = Journals(state / "journal", writing)
        self._reporter = Reporter(self._journals, self._link)
        self._runs = Runs(
            Surroundings(
                machine=machine,
                machine_id=identity.machine_id(state),
                journals=self._journals,
                vault=vault,
                reporter=self._reporter,
                session=lambda: joined.session if (joined := self._link.joined) else 0,
            )
        )
        self._conversation = Conversation(state, self._link, self._runs, machine, connect)
        self._kept_at = -_HOUSEKEEPING_S
        self._doing = ""

    def _noticed(self, run: str) -> None:
        self._reporter.noticed(run)

    def is_idle(self) -> bool:
        """Say whether no run is under way."""
        return self._runs.running() == 0

    def serve(self, stop: threading.Event, finish_s: float = FINISH_S) -> Ended:
        """Work until `stop`, or until another session takes over."""
        over = threading.Event()
        self._take_up()
        threads = self._start_threads(over, listening=True)
        while not stop.is_set() and self._link.superseded is None:
            self._tick(may_begin=not self._link.alert)
            self._runs.wait(_TICK_S)
        self._finish(finish_s)
        if self._link.trouble is None:
            self._flush()
        return self._close(over, threads)

    def once(self, stop: threading.Event) -> Ended:
        """Recover, carry out what there is, report, and end."""
        over = threading.Event()
        self._take_up()
        threads = self._start_threads(over, listening=False)
        self._drain(stop, may_begin=False)
        failed: HostError | None = None
        try:
            self._conversation.join()
            while self._conversation.claim(0) and not stop.is_set():
                self._drain(stop, may_begin=not self._link.alert)
            # A wish makes no new order, but something to do.
            self._drain(stop, may_begin=not self._link.alert)
        except Superseded as error:
            self._link.stop(error)
        except HostError as error:
            failed = error
        self._finish(FINISH_S)
        self._flush()
        ended = self._close(over, threads)
        return Ended(UNREACHABLE, str(failed.problem)) if failed and not ended.code else ended

    def _take_up(self) -> None:
        for left in (*self._state.glob(".reserve.*.new"), *(self._state / "vault").glob(".*.new")):
            left.unlink(missing_ok=True)  # half-written by a process that was killed
        self._journals.prepare()
        self._runs.load()
        self._reporter.load()

    def _start_threads(self, over: threading.Event, *, listening: bool) -> list[threading.Thread]:
        bodies = [self._reporter.run, self._conversation.keep_beating, self._keep_up]
        if listening:
            bodies.append(self._conversation.listen)
        threads = [threading.Thread(target=body, args=(over,), name=body.__name__, daemon=True) for body in bodies]
        for thread in threads:
            thread.start()
        return threads

    def _tick(self, *, may_begin: bool) -> None:
        self._runs.tick(may_begin=may_begin)
        doing = self._runs.doing()
        if doing != self._doing:
            self._doing = doing
            self._conversation.beat_soon()
        self._housekeeping()

    def _housekeeping(self) -> None:
        if (signature := self._look_at_settings()) != self._signature and self.is_idle():
            self._signature = signature
            try:
                self._machine.refresh()
            except HostError as error:
                _log.error("the changed settings are not taken over: %s", error.problem)
        now = time.monotonic()
        if now - self._kept_at >= _HOUSEKEEPING_S:
            self._kept_at = now
            self._journals.make_reserve()
            self._journals.retire(datetime.now(UTC))

    def _look_at_settings(self) -> tuple[int, int]:
        try:
            found = self._watched.stat() if self._watched else None
        except OSError:
            return (0, 0)
        return (found.st_ino, found.st_mtime_ns) if found else (0, 0)

    def _keep_up(self, over: threading.Event) -> None:
        """Keep services and make up owed reloads; a thread's body, since the web server may be busy."""
        said = ""
        while not over.is_set():
            try:
                problems = "; ".join(map(str, self._machine.upkeep()))
            except Exception as error:  # noqa: BLE001 the next second may be better; the thread must live
                problems = str(error)
            if problems and problems != said:
                _log.warning("the host's upkeep: %s", problems)
            said = problems
            over.wait(_UPKEEP_S)

    def _drain(self, stop: threading.Event, *, may_begin: bool) -> None:
        """Carry out what can be carried out now."""
        claimed_at = time.monotonic()
        while not stop.is_set() and self._link.superseded is None:
            self._tick(may_begin=may_begin)
            if self.is_idle():
                return
            self._runs.wait(_TICK_S)
            if may_begin and time.monotonic() - claimed_at >= _ONCE_CLAIM_S:
                claimed_at = time.monotonic()
                self._claim_meanwhile()

    def _claim_meanwhile(self) -> None:
        """Fetch wishes while runs are under way; a dispatcher that went away does not end them."""
        try:
            self._conversation.claim(0)
        except Superseded:
            raise
        except HostError as error:
            _log.warning("%s", error.problem)

    def _finish(self, finish_s: float) -> None:
        """Let runs under way come to their end, for a while; none is begun."""
        until = time.monotonic() + finish_s
        while not self.is_idle() and time.monotonic() < until:
            self._runs.wait(min(_TICK_S, finish_s))

    def _flush(self) -> None:
        until = time.monotonic() + _FLUSH_S
        while self._link.joined and self._reporter.pending() and time.monotonic() < until:
            try:
                self._reporter.report()
            except HostError as error:
                _log.warning("not all is reported; it will be next time: %s", error.problem)
                return

    def _close(self, over: threading.Event, threads: list[threading.Thread]) -> Ended:
        over.set()
        self._conversation.beat_soon()
        self._reporter.wake()
        for thread in threads:
            if thread.name != "listen":  # it sits in its long poll
                thread.join(timeout=5.0)
        if problem := self._link.superseded:
            _log.error("%s", problem)
            return Ended(SUPERSEDED, str(problem))
        if not self.is_idle():
            return Ended(OK, f"Stopped in the middle of: {self._runs.doing()}; the next start recovers it.")
        return Ended(OK)


def _masking(vault: Vault) -> Callable[[str, str], str]:
    def mask(instance: str, text: str) -> str:
        try:
            return vault.mask(instance, text)
        except HostError:
            # Without the vault's file nobody knows its secrets, and no command was given any.
            return text

    return mask
