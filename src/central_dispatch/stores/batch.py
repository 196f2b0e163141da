"""What a store says of a batch, and is told. Values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a job splits into: `expected` jobs of a kind. `source`: the checksum of what could change meanwhile."""

    job: int
    kind: str
    says: str
    source: str
    expected: int
    by: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A batch under way. `made`: so many of its jobs, from number 0 on, are there already."""

    id: int
    source: str
    made: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The jobs of a batch by state, and how many ended since a moment."""

    waiting: int = 0
    running: int = 0
    finished: int = 0
    in_error: int = 0
    interrupted: int = 0
    ended_lately: int = 0

    @property
    def ended(self) -> int:
        """Return how many are over."""
        return self.finished + self.in_error + self.interrupted

    @property
    def made(self) -> int:
        """Return how many there are."""
        return self.ended + self.waiting + self.running
