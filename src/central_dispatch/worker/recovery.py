"""Gives back what is ours by the rows and was never heard of: its claim's answer was lost. By the clerk's thread."""

import logging
import time
from datetime import UTC, datetime

from central_dispatch.jobs.outcome import Released
from central_dispatch.jobs.ports import Store
from central_dispatch.worker.claims import Claims
from central_dispatch.worker.settlements import Ended, Settlements

_log = logging.getLogger(__name__)


class Recovery:
    """Compares what is held with the rows, as soon as the database answers again, and seldom otherwise."""

    def __init__(self, store: Store, parent: str, claims: Claims, settlements: Settlements, recover_s: float) -> None:
        self._store = store
        self._parent = parent
        self._claims = claims
        self._settlements = settlements
        self._recover_s = recover_s
        self._due = time.monotonic() + recover_s
        self.in_doubt = False

    def doubt(self) -> None:
        """Note that a call failed: whether it was done is not known."""
        self.in_doubt = True

    def look(self, now: float) -> None:
        """Have what nobody here knows of given back, uncounted, with the next settlement."""
        if not self.in_doubt and now < self._due:
            return
        held = self._claims.held
        strangers = [
            claim
            for claim in self._store.held(self._parent)
            if (known := held.get(claim.job)) is None or known.fence < claim.fence
        ]
        self._due = now + self._recover_s
        self.in_doubt = False
        if strangers:
            _log.warning("%d jobs are given back: the answer to their claim was lost", len(strangers))
            # They take slots until they are settled, as every job does.
            self._claims.hold(strangers)
            self._claims.free(-len(strangers))
            at = datetime.now(UTC)
            for claim in strangers:
                self._settlements.add(Ended(claim, Released(), 0, at, at))
