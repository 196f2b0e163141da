"""Changes settings at random while jobs run, and watches each change take effect, by what happens to jobs afterwards.

One thread for each kind of setting, on a queue of its own; a feeder keeps the queues busy. A change is *effective*
when the first job is treated by it; how long that took includes the look itself (every 30 ms).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from central_dispatch.jobs.job import NewJob
from queue_workers.rig import Rig

#: A change that shows no effect for so long counts as ineffective, in seconds.
PATIENCE_S = 20.0
_LOOK_S = 0.03
_QUIET_S = 0.4  # so long nothing of a paused queue may start, while the feeder brings four jobs every 0.1 s
_SHORT_S = 2.0  # a time limit that is longer than a change may take
#: What is changed; a storm goes on until it has changed each.
SETTINGS = frozenset({"retry_delay_s", "retention_h", "deferral_delay_s", "paused", "concurrency", "time_limit_s"})
_FED = ("no-op", "failing", "deferring", "limited")
_FORMAT = "%Y-%m-%d %H:%M:%S.%f"


@dataclass(frozen=True, slots=True)
class Change:
    """One change: what, to what, and after how many seconds it showed; None: never."""

    queue: str
    setting: str
    value: object
    seconds: float | None


@dataclass
class Storm:
    """Runs until `changes` have been made, one of each kind at least. The workers stay as they are, the caller's."""

    rig: Rig
    changes: int
    seed: int
    made: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._fed = threading.Event()  # no more jobs are needed
        self._lock = threading.Lock()
        self._faults: list[BaseException] = []

    def run(self) -> list[Change]:
        """Make the changes; returns each with its effect."""
        for _ in range(20):  # until the children are warm, as they are in service
            self.rig.enqueue("limited")
        self._until(lambda: self.rig.states().get("finished") == 20)
        self._set("sleep", max_attempts=1, grace_s=0)
        self._set("deferring", max_deferrals=1_000_000)
        probes = (self._retry, self._attempts, self._deferral, self._pause, self._limit, self._time_limit)
        threads = [
            threading.Thread(target=self._guarded, args=(probe, self._random(index)))
            for index, probe in enumerate(probes)
        ]
        feeder = threading.Thread(
            target=self._guarded, args=(lambda _random: self._feed(), self._random(-1), self._fed)
        )
        for thread in (feeder, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        self._fed.set()
        feeder.join()
        if self._faults:
            raise self._faults[0]
        return self.made

    def _random(self, index: int) -> Random:
        return Random(f"{self.seed}:{index}")  # noqa: S311 a storm to be had again

    def _guarded(self, probe: Callable[[Random], None], random: Random, until: threading.Event | None = None) -> None:
        try:
            while not (until or self._over).is_set():
                probe(random)
        except BaseException as fault:  # noqa: BLE001 raised again by `run`
            self._faults.append(fault)
            self._over.set()
            self._fed.set()

    def _feed(self) -> None:
        for queue in _FED:
            self.rig.store.enqueue([NewJob(kind=queue, payload={})] * 4, datetime.now(UTC))
            self.rig.broker.ring([queue])
        time.sleep(0.1)

    # One probe for each kind of setting: it makes one change, or one there and one back.

    def _retry(self, random: Random) -> None:
        delay_s = random.randrange(1000, 100_000, 100)
        self._change("failing", "retry_delay_s", delay_s, lambda: self._waits("failing", "retry", delay_s))

    def _attempts(self, random: Random) -> None:
        """By its expiry: the last attempt makes a dead letter, and retention says how long it stays."""
        hours = random.randrange(1, 8000)
        self._change("misbehave", "retention_h", hours, lambda: self._expires("misbehave", hours), feed=True)

    def _deferral(self, random: Random) -> None:
        delay_s = random.randrange(1000, 80_000, 100)
        self._change("deferring", "deferral_delay_s", delay_s, lambda: self._waits("deferring", "deferred", delay_s))

    def _pause(self, random: Random) -> None:
        """Paused: what was on its way still starts, then nothing, though jobs come; resumed: the first start tells."""
        at = self._set("no-op", paused=True)
        if self._over.wait(random.uniform(0.6, 1.0)):
            return
        last = self._last_start("no-op")
        if self._over.wait(_QUIET_S):
            return
        quiet = self._last_start("no-op") == last
        seconds = max(0.0, (last - at).total_seconds()) if quiet else None
        self._note("no-op", "paused", value=True, seconds=seconds)
        at = self._set("no-op", paused=False)
        self._note("no-op", "paused", value=False, seconds=self._until(lambda: self._last_start("no-op") > at))

    def _limit(self, random: Random) -> None:
        limit = random.randrange(1, 4)
        self._change("limited", "concurrency", limit, lambda: self._running("limited") == limit)
        for _ in range(5):
            assert self._running("limited") <= limit, f"more than {limit} at a time"
            time.sleep(_LOOK_S)

    def _time_limit(self, _random: Random) -> None:
        """On a job that has run longer already: it is ended at once. The change back: one that runs longer goes on."""
        [job] = self.rig.enqueue("sleep", seconds=600)
        self._until(lambda: self._runs_since(job) > _SHORT_S + 0.1)
        self._change("sleep", "time_limit_s", _SHORT_S, lambda: self.rig.job(job)["state"] == "in_error")
        at = self._set("sleep", time_limit_s=3600)
        [job] = self.rig.enqueue("sleep", seconds=600)
        goes_on = self._until(lambda: self._runs_since(job) > _SHORT_S + 0.5)
        late_s = max(0.0, (_time(self.rig.job(job)["started_at"]) - at).total_seconds())
        self._note("sleep", "time_limit_s", 3600, None if goes_on is None else late_s)
        self.rig.interrupt(job)
        self._until(lambda: self.rig.job(job)["state"] == "interrupted")

    # Making a change, and looking for its effect.

    def _set(self, queue: str, **values: Any) -> datetime:
        self.rig.store.change_settings(queue, values)
        at = datetime.now(UTC).replace(tzinfo=None)
        self.rig.broker.ring([queue])
        return at

    def _change(
        self, queue: str, setting: str, value: object, shows: Callable[[], bool], *, feed: bool = False
    ) -> None:
        self._set(queue, **{setting: value})

        def look() -> bool:
            if feed:
                self.rig.enqueue(queue, how="raise")
            return shows()

        self._note(queue, setting, value, self._until(look))

    def _note(self, queue: str, setting: str, value: object, seconds: float | None) -> None:
        with self._lock:
            self.made.append(Change(queue, setting, value, seconds))
            if len(self.made) >= self.changes and {change.setting for change in self.made} == SETTINGS:
                self._over.set()

    def _until(self, shows: Callable[[], bool]) -> float | None:
        begun = time.monotonic()
        while not shows():
            if time.monotonic() - begun > PATIENCE_S:
                return None
            time.sleep(_LOOK_S)
        return time.monotonic() - begun

    def _waits(self, queue: str, reason: str, delay_s: float) -> bool:
        rows = self.rig.rows(
            "SELECT due_at FROM job WHERE queue = ? AND state = 'waiting' AND waiting_for = ? ORDER BY id DESC LIMIT 8",
            queue,
            reason,
        )
        now = datetime.now(UTC).replace(tzinfo=None)
        return any(abs((_time(row["due_at"]) - now).total_seconds() - delay_s) < 30 for row in rows)

    def _expires(self, queue: str, hours: float) -> bool:
        rows = self.rig.rows(
            "SELECT ended_at, expires_at FROM job WHERE queue = ? AND state = 'in_error' ORDER BY id DESC LIMIT 8",
            queue,
        )
        kept = [(_time(row["expires_at"]) - _time(row["ended_at"])).total_seconds() / 3600 for row in rows]
        return any(abs(each - hours) < 0.1 for each in kept)

    def _last_start(self, queue: str) -> datetime:
        rows = self.rig.rows(
            "SELECT started_at FROM job WHERE queue = ? AND started_at IS NOT NULL ORDER BY id DESC LIMIT 30", queue
        )
        return max((_time(row["started_at"]) for row in rows), default=datetime.min)  # noqa: DTZ901 as the others

    def _running(self, queue: str) -> int:
        [row] = self.rig.rows("SELECT count(*) AS n FROM job WHERE queue = ? AND state = 'running'", queue)
        return int(row["n"])

    def _runs_since(self, job: int) -> float:
        row = self.rig.job(job)
        if row["state"] != "running":
            return 0.0
        return (datetime.now(UTC).replace(tzinfo=None) - _time(row["started_at"])).total_seconds()


def _time(text: str) -> datetime:
    return datetime.strptime(text, _FORMAT)  # noqa: DTZ007 UTC on both sides
