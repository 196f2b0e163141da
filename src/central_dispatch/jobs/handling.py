"""What a handler is given beside its payload."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from central_dispatch.jobs.outcome import Deferred


class TakeLocks(Protocol):
    """Takes things by name, all or none: some alone, some together with others that share them."""

    def __call__(self, exclusive: Sequence[str] = (), shared: Sequence[str] = ()) -> Deferred | None:
        """Return None where all is taken, else what the handler is to return."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution, as its handler sees it.

    `directory` is the execution's own (`work/JOB/FENCE/`), made when first asked for and the current one from
    then on, removed afterwards: publish by rename. `report`
    takes percent and words. `stopping` says that somebody wants the job to end soon: return `Released()`.

    `lock(exclusive, shared)` takes things by name, all or none, until the execution ends: return what it returns if
    that is not None.
    """

    job: int
    fence: int
    number: int  # from 1, counting executions
    directory: Path
    report: Callable[[float, str], None]
    stopping: Callable[[], bool]
    lock: TakeLocks
