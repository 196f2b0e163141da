"""Talks with the dispatcher: starts a session, waits for orders by long poll, and says that the host lives."""

import http.client
import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from central_dispatch import __version__
from central_dispatch.host import identity
from central_dispatch.host.dispatcher_client import Away, DispatcherApi, Refused, Superseded
from central_dispatch.host.identity import Identity
from central_dispatch.host.link import Joined, Link
from central_dispatch.host.machine import Machine
from central_dispatch.host.runs import Runs
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.protocol import Claim, Facts, Heartbeat, SessionStart, SettingsView

_log = logging.getLogger(__name__)
BEAT_S = 10.0
CLAIM_S = 25.0
# A look at the machine starts half a dozen programs: not at every beat.
_FACTS_AGE_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_NOT_ENROLLED = Problem(
    "This host is not enrolled", "", "Add a worker in the portal, and paste its command here: worker host enroll."
)


def pause_after(failures: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row, in seconds; `chance` (0 to 1) spreads many hosts."""
    longest = min(_FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE_S)
    return longest * (0.5 + chance / 2)


class Conversation:
    """One host worker's talk with its dispatcher. `connect` makes the client of an identity."""

    def __init__(
        self, state: Path, link: Link, runs: Runs, machine: Machine, connect: Callable[[Identity], DispatcherApi]
    ) -> None:
        self._state = state
        self._link = link
        self._runs = runs
        self._machine = machine
        self._connect = connect
        self._facts = Facts(worker_version=__version__)
        self._looked_at = -_FACTS_AGE_S
        self._beat_now = threading.Event()

    # One exchange each; they raise `Away`, `Refused` and `Superseded`.

    def join(self) -> None:
        """Start a session; `Refused` where the host is not enrolled."""
        found = identity.load(self._state)
        if not isinstance(found, Identity):
            raise Refused(found or _NOT_ENROLLED)
        api = self._connect(found)
        message = SessionStart(
            machine_id=identity.machine_id(self._state),
            last_session=identity.last_session(self._state),
            facts=self._current_facts(),
            settings=self._settings(),
        )
        answer = api.session(message)
        try:
            identity.save_session(self._state, answer.session)
        except OSError as error:
            # The next start will look rewound, and wait for an administrator; that is better than not to work now.
            _log.warning("session %d cannot be remembered: %s", answer.session, error)
        self._link.join(Joined(api, answer.session), answer.alert)
        _log.info("session %d with %s as “%s”", answer.session, found.url, found.name)
        if answer.alert:
            _log.error("no new run is begun: %s", answer.alert)

    def claim(self, wait_s: float) -> int:
        """Ask for orders and wishes, and hand them over; return how many orders were new."""
        joined = self._link.joined
        if joined is None:
            return 0
        # What the dispatcher knows of stuck runs now, before it is asked: a wish can only be about that.
        seen = self._runs.stuck()
        answer = joined.api.claim(Claim(session=joined.session, known=self._runs.known(), wait_s=wait_s))
        self._link.answered()
        for wish in answer.wishes:
            self._runs.heed(wish, seen)
        return sum(self._runs.accept(order) for order in answer.orders)

    def beat(self) -> None:
        """Say that the host lives, what it does and how it is."""
        joined = self._link.joined
        if joined is None:
            return
        message = Heartbeat(
            session=joined.session,
            facts=self._current_facts(),
            settings=self._settings(),
            doing=self._runs.doing()[:300],
        )
        self._link.answered(joined.api.heartbeat(message).alert)

    # The threads' bodies.

    def listen(self, stop: threading.Event) -> None:
        """Claim until `stop`; joins first, and again when the credential was renewed."""
        failures = 0
        while not stop.is_set() and not self._link.superseded:
            try:
                if self._link.joined is None:
                    self.join()
                self.claim(CLAIM_S)
                failures = 0
            except HostError as error:
                failures += 1
                self._failed(error)
            except Exception:  # noqa: BLE001 the thread must live: what the host does not hear it cannot do
                failures += 1
                _log.exception("the talk with the dispatcher failed")
            if failures:
                stop.wait(pause_after(failures, random.random()))  # noqa: S311 spreads load, guards nothing
        self._runs.wake()

    def keep_beating(self, stop: threading.Event) -> None:
        """Beat every `BEAT_S`, and soon after something changed."""
        while not stop.is_set() and not self._link.superseded:
            try:
                self.beat()
            except HostError as error:
                self._failed(error)
            except Exception:  # noqa: BLE001 a look that fails must not look like a dead host for ever
                _log.exception("the heartbeat failed")
            self._beat_now.wait(BEAT_S)
            self._beat_now.clear()

    def beat_soon(self) -> None:
        """Have the next heartbeat come at once."""
        self._beat_now.set()

    def _failed(self, error: HostError) -> None:
        if isinstance(error, Superseded):
            self._link.stop(error)
            self._runs.wake()
        elif isinstance(error, Refused) and error.status == http.client.UNAUTHORIZED:
            self._link.leave()
        if self._link.failed(error.problem):
            _log.log(logging.WARNING if isinstance(error, Away) else logging.ERROR, "%s", error.problem)

    # What the host says of itself.

    def _current_facts(self) -> Facts:
        now = time.monotonic()
        if now - self._looked_at >= _FACTS_AGE_S:
            try:
                self._facts = self._machine.facts()
            except HostError as error:
                self._facts = Facts(worker_version=__version__, problems=(str(error.problem),))
            self._looked_at = now
        return self._facts.model_copy(update={"problems": (*self._facts.problems, *self._runs.troubles())})

    def _settings(self) -> SettingsView:
        try:
            return self._machine.settings()
        except HostError:
            return SettingsView()
