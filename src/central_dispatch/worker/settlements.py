"""Settles executions that are over, several in one transaction, and rings for what that makes due."""

import logging
import random
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from central_dispatch.jobs.job import Claim
from central_dispatch.jobs.masking import shown_payload
from central_dispatch.jobs.outcome import Crashed, Outcome, Released
from central_dispatch.jobs.ports import Broker, DeadLetter, Settled, Store, StoreDown
from central_dispatch.jobs.settling import settle
from central_dispatch.worker import answers
from central_dispatch.worker.claims import Claims
from central_dispatch.worker.known_settings import KnownSettings
from central_dispatch.worker.lock_requests import LockRequests
from central_dispatch.worker.log_fields import about

_log = logging.getLogger(__name__)
#: How many times as long what has ended is held back while more is claimed than the slots can run: nobody waits for
#: the next claim then, and each transaction carries more.
_PATIENT = 5
#: Settled in one call: what a store writes in one transaction. Of a call of more, a part may be written when it fails,
#: and would count as lost when it is tried again.
MOST = 300


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution that is over, for the store."""

    claim: Claim
    outcome: Outcome
    child_pid: int
    started_at: datetime
    ended_at: datetime
    output: bytes = b""


class Settlements:
    """What has ended and is not settled yet. `add` may be called from any thread, the rest by the clerk's."""

    def __init__(
        self, store: Store, broker: Broker, settings: KnownSettings, claims: Claims, locks: LockRequests
    ) -> None:
        self._store = store
        self._broker = broker
        self._settings = settings
        self._claims = claims
        self._locks = locks
        self._ended: deque[Ended] = deque()

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, ended: Ended) -> None:
        """Settle this with the next lot."""
        self._ended.append(ended)

    def forget(self) -> None:
        """Settle nothing of it: the rows are somebody else's."""
        self._ended.clear()

    def release_what_never_began(self) -> None:
        """Give back what was claimed while the main loop ended: nobody runs it any more."""
        at = datetime.now(UTC)
        over = {ended.claim.job for ended in self._ended}
        self._ended.extend(
            Ended(claim, Released(), 0, at, at) for claim in self._claims.held.values() if claim.job not in over
        )

    def settle(self, group_s: float) -> list[Settled]:
        """Settle up to `MOST` of it; returns what was settled or lost. `group_s`: how long to wait for others."""
        under_way = len(self._claims.held) - len(self._ended)
        if under_way > 0:
            time.sleep(group_s * (_PATIENT if under_way > self._claims.slots else 1))
        batch = list(islice(self._ended, MOST))
        settled = [self._decide(ended) for ended in batch]
        try:
            kept: list[bool] | list[bool | None] = self._store.settle(settled)
        except StoreDown:
            raise
        except Exception:  # noqa: BLE001 one that cannot be stored must not keep the others from it
            _log.exception("cannot settle %d jobs at once; trying each by itself", len(batch))
            kept = [self._settle_alone(ended, one) for ended, one in zip(batch, settled, strict=True)]
        for _ in batch:
            with suppress(IndexError):  # abandoned meanwhile
                self._ended.popleft()
        for one, is_kept in zip(settled, kept, strict=True):
            self._claims.held.pop(one.claim.job, None)
            if is_kept is not None:  # why it was not is in the log already
                tell(one, is_kept=is_kept)
        self._broker.bury([letter(one) for one, is_kept in zip(settled, kept, strict=True) if is_kept and is_dead(one)])
        self._claims.free(len(batch))
        self._ring_after(settled)
        return settled

    def _decide(self, ended: Ended) -> Settled:
        settings = self._settings.read(ended.claim.kind)
        settlement = settle(ended.claim, ended.outcome, settings, datetime.now(UTC), random.random())  # noqa: S311 spreads retries
        name = answers.name_of(ended.outcome)
        return Settled(ended.claim, settlement, ended.child_pid, ended.started_at, ended.ended_at, name, ended.output)

    def _settle_alone(self, ended: Ended, settled: Settled) -> bool | None:
        """Settle one that the store may not be able to write; then as a crash that says so. None: not even that."""
        crash = Crashed("its outcome cannot be stored; the queue worker's log says why")
        broken = Ended(ended.claim, crash, ended.child_pid, ended.started_at, ended.ended_at)
        for attempt in (settled, self._decide(broken)):
            try:
                return self._store.settle([attempt])[0]
            except StoreDown:
                raise
            except Exception:  # noqa: BLE001 likewise
                _log.exception(
                    "job %d cannot be settled as %s", ended.claim.job, attempt.outcome, extra=about(ended.claim)
                )
        _log.error("job %d cannot be settled at all: it is given back later", ended.claim.job, extra=about(ended.claim))
        return None

    def _ring_after(self, settled: list[Settled]) -> None:
        """Ring where a row is due again at once, where room under a limit became free, or a lock that others want."""
        at, now = datetime.now(UTC), time.monotonic()
        rung = set(self._locks.ended(settled, at))
        for one in settled:
            queue, due_at = one.claim.kind, one.settlement.due_at
            if one.settlement.state == "waiting" and due_at is not None:
                self._claims.expect(now + (due_at - at).total_seconds())
                if due_at <= at:
                    rung.add(queue)
            if self._settings.read(queue).concurrency is not None:
                rung.add(queue)
        if rung:
            self._claims.heat(rung)
            self._broker.ring(rung)


def is_dead(settled: Settled) -> bool:
    """Say whether a job ended in error."""
    return settled.settlement.state == "in_error" and settled.settlement.expires_at is not None


def letter(settled: Settled) -> DeadLetter:
    """Return the copy of a dead letter for the broker's operators, its secrets hidden: others read there, too."""
    claim, settlement = settled.claim, settled.settlement
    payload = shown_payload(claim.kind, claim.payload)
    expires_at = settlement.expires_at or settled.ended_at
    return DeadLetter(claim.job, claim.kind, payload, settlement.error, settlement.attempts, expires_at)


def tell(settled: Settled, *, is_kept: bool) -> None:
    """Write to the log what became of an execution."""
    level, words = _words(settled) if is_kept else _dropped(settled)
    _log.log(level, "job %d (%s) %s", settled.claim.job, settled.claim.kind, words, extra=about(settled.claim))


def _dropped(settled: Settled) -> tuple[int, str]:
    return logging.WARNING, f"has lost fence {settled.claim.fence}: its outcome {settled.outcome} is dropped"


def _words(settled: Settled) -> tuple[int, str]:
    found = settled.settlement
    match found.state:
        case "in_error":
            return logging.ERROR, f"is in error after {found.attempts} attempts: {found.error}"
        case "interrupted":
            return logging.INFO, f"is interrupted by {found.by}: {found.error}"
        case "waiting":
            return logging.INFO, f"{settled.outcome}, waits for {found.waiting_for}: {found.error}"
        case _:
            return logging.DEBUG, "is finished"
