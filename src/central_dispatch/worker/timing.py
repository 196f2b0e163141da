"""The engine's times and bounds, in one place: tests shorten them, nothing else changes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All in seconds."""

    beat_s: float = 5.0
    #: A row is taken back after its parent's counter stood still so long on the sweeper's own clock.
    lease_s: float = 30.0
    #: A parent that stands stopped so long has its children killed by the fork server: before its lease ends.
    stopped_s: float = 20.0
    #: The look without a bell: a lost bell costs this much.
    look_s: float = 1.0
    interrupts_s: float = 0.2  # the least time between two looks for interrupts; a bell brings the next one forward
    progress_s: float = 0.5
    output_s: float = 0.7  # the least time between two writes of what running jobs printed so far
    #: How old settings may be where they matter; those of what runs are read after twice this.
    settings_s: float = 0.25
    store_down_s: float = 1.0
    #: How often what is held is compared with the rows though no call failed.
    recover_s: float = 60.0
    lock_wait_s: float = 10.0  # how long a handler that wants a lock waits for an absent database
    #: How long what has ended is held back so that others that end now are settled in the same transaction.
    group_s: float = 0.001
    #: A thread of the worker that did not turn for so long is stuck: the process ends, and whoever keeps it starts
    #: another.
    stuck_s: float = 300.0
    #: A payload that this worker is too old for waits so long each time for a newer one.
    newer_s: float = 30.0
    #: How long a drain waits for an absent database before it leaves its rows to the next parent.
    store_wait_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """When a child makes room for a fresh one, looked at between two jobs."""

    jobs: int = 1000
    resident_bytes: int = 400 << 20
    #: Bound of one process's own memory (RLIMIT_DATA); 0: the machine's memory. Beyond it Python says MemoryError.
    limit_bytes: int = 0
