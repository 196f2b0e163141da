"""What a parent runs now: one execution for each busy child, from its order to its outcome."""

import logging
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from central_dispatch.jobs.job import MAX_WORDS, Claim, Progress
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.lock import wishes
from central_dispatch.jobs.masking import secrets_of, shown_text
from central_dispatch.jobs.outcome import Crashed, Deferred, Failed, Outcome, Stopped
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.text import storable
from central_dispatch.worker import answers, frames, stops
from central_dispatch.worker.children import Child, Children, Gone
from central_dispatch.worker.clerk import Clerk, Ended
from central_dispatch.worker.lock_requests import Locked, Wish
from central_dispatch.worker.output import Output

_log = logging.getLogger(__name__)
#: How long a flood of output is left unread at least, in seconds; the tick after that reads on.
_FLOOD_S = 0.01
#: Executions shorter than this, on average, have the next ones claimed ahead: about so much work, in seconds, and
#: never more than so many for each slot.
_SHORT_S = 0.02
_MOST_AHEAD = 10
#: Reads of a child's socket after its end, each of which takes 256 KiB: its last words are among them.
_LAST_WORDS = 64
#: Reads of a child's output at an execution's end: more than the pipe holds of what it printed before.
_LAST_PRINTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How this parent works. `drain_s` bounds the grace time of a drain; `echo` hears what jobs print.

    `newer_s`: how long a payload that this worker is too old for waits each time for a newer worker.
    """

    directory: Path
    kinds: Mapping[str, Kind]
    until_empty: bool = False
    drain_s: float = float("inf")
    newer_s: float = 30.0
    echo: Callable[[bytes], None] | None = None
    on_progress: Callable[[Claim, Progress], None] | None = None


@dataclass(eq=False, slots=True)
class Running:
    """One execution under way."""

    claim: Claim
    child: Child
    started_at: datetime
    started: float
    secrets: frozenset[str] = frozenset()
    output: Output = field(default_factory=Output)
    stop: stops.Stop | None = None


def ahead(slots: int, mean_s: float) -> int:
    """Return how many jobs to claim beside those for free slots, so that a transaction carries many short ones."""
    return int(slots * min(_MOST_AHEAD, _SHORT_S / max(mean_s, 1e-6))) if mean_s < _SHORT_S else 0


class Executions:
    """All executions of one parent. Used by its main loop's thread alone."""

    def __init__(self, rules: Rules, selector: selectors.BaseSelector, clerk: Clerk, children: Children) -> None:
        self._rules = rules
        self._selector = selector
        self._clerk = clerk
        self._children = children
        self._running: dict[Child, Running] = {}
        self._muted: dict[Child, float] = {}
        self._mean_s = _SHORT_S
        self.ended = 0
        self.abandoned = False  # the rows are somebody else's: nothing is settled any more
        self.pressing = False  # an ending began: look at its times at once

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Running]:
        return iter(self._running.values())

    @property
    def has_muted(self) -> bool:
        """Some output is left unread for a moment."""
        return bool(self._muted)

    def begin(self, child: Child, claim: Claim, now: float) -> None:
        """Give a job to an idle child; a payload that cannot travel ends the execution as a crash."""
        secrets = secrets_of(claim.kind, claim.payload, self._rules.kinds)
        order = {
            "job": claim.job,
            "fence": claim.fence,
            "number": claim.attempts + 1,
            "handler": self._rules.kinds[claim.kind].handler,
            "payload": claim.payload,
            "directory": f"{self._rules.directory}/{claim.job}/{claim.fence}",
        }
        if secrets:
            order["secrets"] = sorted(secrets)
        try:
            self._children.give(child, order)
        except (TypeError, ValueError) as error:
            child.busy = False
            at = datetime.now(UTC)
            self._clerk.ended(Ended(claim, Crashed(f"its payload cannot be handed on: {error}"), 0, at, at))
            return
        self._running[child] = Running(claim, child, datetime.now(UTC), now, secrets)

    # What the selector brings of a child.

    def read_output(self, child: Child) -> None:
        """Take what a child printed; of a flood only so much at a time that the job waits for us, not we for it."""
        piece = child.drain()
        if piece is None:
            return  # all of it was read in this very turn, at the execution's end
        if not piece:
            with suppress(KeyError):
                self._selector.unregister(child.output)
            return
        running = self._running.get(child)
        if running is None:
            return
        self._keep_output(running, piece)
        if running.output.is_flooded:
            self._selector.unregister(child.output)
            self._muted[child] = time.monotonic() + _FLOOD_S

    def _keep_output(self, running: Running, piece: bytes) -> None:
        running.output.add(piece)
        self._clerk.printed(running.claim, lambda: running.output.so_far(running.secrets))
        if self._rules.echo:
            self._rules.echo(piece)

    def hear(self, child: Child) -> None:
        """Take what a child says."""
        try:
            for message in child.channel.receive():
                self._take_in(child, message)
        except frames.Garbage as garbage:
            _log.warning("the child with pid %d talks nonsense (%s): it is ended", child.pid, garbage)
            child.channel.ended = True
            self._children.kill(child)
        if child.channel.ended:
            with suppress(KeyError):
                self._selector.unregister(child.channel.fileno())

    def _take_in(self, child: Child, message: dict[str, Any]) -> None:
        running = self._running.get(child)
        match message:
            case {"answer": dict(answer), "job": job, "fence": fence, "recycle": bool(recycle)}:
                child.leaving = child.leaving or recycle
                if running and (running.claim.job, running.claim.fence) == (job, fence):
                    self._finish(running, answers.from_json(answer), "")
            case {"ring": list(queues)}:
                self._clerk.pass_on("ring", [queue for queue in map(str, queues) if queue in self._rules.kinds])
            case {"call": list(queues)}:
                self._clerk.pass_on("call", [queue for queue in map(str, queues) if queue in self._rules.kinds])
            case {
                "lock": int(number), "job": job, "fence": fence, "exclusive": list(exclusive), "shared": list(shared)
            } if running and (running.claim.job, running.claim.fence) == (job, fence):  # fmt: skip
                self._ask_for_locks(running, number, exclusive, shared)
            case {"percent": int() | float() as percent, "words": str(words)} if running:
                progress = Progress(float(percent), storable(shown_text(words, running.secrets), MAX_WORDS))
                self._clerk.report(running.claim, progress)
                if self._rules.on_progress:
                    self._rules.on_progress(running.claim, progress)

    def _ask_for_locks(self, running: Running, number: int, exclusive: list[str], shared: list[str]) -> None:
        try:
            wanted = wishes(exclusive, shared)
        except (TypeError, ValueError) as error:
            raise frames.Garbage(f"a wish for locks: {error}") from None
        self._clerk.lock(Wish(running.claim, number, wanted, time.monotonic()))

    def locked(self, answer: Locked) -> None:
        """Tell a handler that waits whether it has its locks."""
        for running in self:
            if (running.claim.job, running.claim.fence) == (answer.claim.job, answer.claim.fence):
                refused = answer.refused
                why = {"why": refused.why, "waits_on": refused.waits_on} if refused else {}
                self._children.say(running.child, {"locked": answer.number, "refused": bool(refused), **why})

    def bury(self, gone: Gone) -> None:
        """End what ran in a child that has ended, after its last words were heard."""
        child = gone.child
        for _ in range(_LAST_WORDS):
            if child.channel.ended:
                break
            self.hear(child)
        running = self._running.get(child)
        if running:
            if gone.parent_stopped or gone.unbegun:
                running.stop = stops.lost(time.monotonic())
            self._finish(running, None, gone.how)
        self._muted.pop(child, None)
        self._children.forget(child)

    def _finish(self, running: Running, answer: Outcome | None, end: str) -> None:
        child = running.child
        for _ in range(_LAST_PRINTS):
            if not (piece := child.drain()):
                break
            self._keep_output(running, piece)
        del self._running[child]
        child.busy = False
        self.ended += 1
        if answer is not None and running.stop is not None and running.stop.done != "ask" and not child.leaving:
            # A signal is on its way to this process, and may come late: no other job may be hit by it.
            self._children.kill(child)
        # Only while jobs are short: one that was claimed ahead of a long one could run elsewhere.
        self._mean_s += (time.monotonic() - running.started - self._mean_s) / 10
        self._clerk.claim_ahead(ahead(self._children.slots, self._mean_s))
        if not self.abandoned:
            outcome = stops.verdict(answer, end, running.stop)
            self._clerk.ended(_without_secrets(running, outcome))

    # Endings from outside.

    def stop(self, running: Running, stop: stops.Stop) -> None:
        """Have an execution end; a weightier reason joins one that is under way."""
        if running.stop is not None and running.stop.reason >= stop.reason:
            return
        if running.stop is None:
            self._children.say(running.child, {"stop": True, "job": running.claim.job, "fence": running.claim.fence})
        running.stop = stops.joined(running.stop, stop)
        self.pressing = True

    def interrupt(self, wishes: Mapping[int, str], now: float) -> None:
        """Have these jobs end, by whom each; by nobody: its fence is lost."""
        for running in self:
            if running.claim.job in wishes:
                by = wishes[running.claim.job]
                grace_s = self.settings(running).grace_s
                self.stop(running, stops.interrupt(by, now, grace_s) if by else stops.lost(now))

    def drain(self, now: float) -> None:
        """Give each its grace time."""
        for running in self:
            grace_s = min(self.settings(running).grace_s, self._rules.drain_s)
            self.stop(running, stops.drain(now, grace_s))

    def hurry(self, now: float) -> None:
        """Let no grace time pass."""
        for running in self:
            old = running.stop or stops.drain(now, 0.0)
            running.stop = replace(old, kill_at=now, terminate_at=now)
        self.pressing = True

    def tick(self, now: float) -> None:
        """Heed the time limits, and do what the endings under way have come to."""
        self.pressing = False
        for child, until in list(self._muted.items()):
            if now >= until:
                del self._muted[child]
                self._selector.register(child.output, selectors.EVENT_READ, (child, "output"))
        for running in self:
            limit_s = self.settings(running).time_limit_s
            if running.stop is None and now - running.started > limit_s:
                self.stop(running, stops.over_time(limit_s, now, self.settings(running).grace_s))
            self._press(running, now)

    def _press(self, running: Running, now: float) -> None:
        if running.stop is None or not running.child.pid or (act := stops.due(running.stop, now)) is None:
            return
        if act == "terminate":
            self._children.terminate(running.child)
        else:
            self._children.kill(running.child)
        running.stop = replace(running.stop, done=act)

    def settings(self, running: Running) -> QueueSettings:
        """Return the settings of an execution's queue as they are now."""
        return self._clerk.known_settings(running.claim.kind)


def _without_secrets(running: Running, outcome: Outcome) -> Ended:
    """Return what is settled: neither error nor output tells what the payload keeps secret. A result stays as it is."""
    claim, secrets = running.claim, running.secrets
    match outcome:
        case Failed(error) | Crashed(error):
            outcome = replace(outcome, error=shown_text(error, secrets))
        case Deferred(why) | Stopped(_, why):
            outcome = replace(outcome, why=shown_text(why, secrets))
    output = running.output.kept(secrets)
    return Ended(claim, outcome, running.child.pid, running.started_at, datetime.now(UTC), output)
