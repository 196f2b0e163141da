"""The link to the dispatcher: which session this host worker is in, and what stands against it. Shared by threads."""

import threading
from dataclasses import dataclass

from central_dispatch.host.dispatcher_client import DispatcherApi, Superseded
from central_dispatch.provisioning.problem import Problem


@dataclass(frozen=True, slots=True)
class Joined:
    """A session of ours: calls go to `api` with the number `session`."""

    api: DispatcherApi
    session: int


class Link:
    """What the claiming, the reporting and the beating thread know together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._joined: Joined | None = None
        self._alert = ""
        self._superseded: Problem | None = None
        self._trouble: Problem | None = None

    @property
    def joined(self) -> Joined | None:
        """The session, once there is one."""
        with self._lock:
            return None if self._superseded else self._joined

    @property
    def alert(self) -> str:
        """Why no new run may start; empty: nothing stands against it."""
        with self._lock:
            return self._alert

    @property
    def superseded(self) -> Problem | None:
        """Why this host worker must stop."""
        with self._lock:
            return self._superseded

    @property
    def trouble(self) -> Problem | None:
        """Why the dispatcher cannot be reached or refuses this host; None while it answers."""
        with self._lock:
            return self._trouble

    def join(self, joined: Joined, alert: str) -> None:
        """Take up a session that began."""
        with self._lock:
            self._joined, self._alert, self._trouble = joined, alert, None

    def leave(self) -> None:
        """End the session: the credential does not work any more."""
        with self._lock:
            self._joined = None

    def answered(self, alert: str | None = None) -> None:
        """Note that the dispatcher answered; `alert` is what it said with a heartbeat."""
        with self._lock:
            self._trouble = None
            if alert is not None:
                self._alert = alert

    def failed(self, problem: Problem) -> bool:
        """Note why a call failed; say whether that is news."""
        with self._lock:
            news = self._trouble is None or self._trouble.what != problem.what
            self._trouble = problem
            return news

    def stop(self, error: Superseded) -> None:
        """Note that a newer session took over."""
        with self._lock:
            self._superseded = error.problem
