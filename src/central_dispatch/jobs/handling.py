"""What a handler is given beside its payload."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from central_dispatch.jobs.outcome import Deferred


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
    lock: Callable[[Sequence[str], Sequence[str]], Deferred | None]
