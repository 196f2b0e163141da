"""What a handler is given beside its payload."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution, as its handler sees it.

    `directory` is the execution's own (`work/JOB/FENCE/`), made when first asked for and the current one from
    then on, removed afterwards: publish by rename. `report`
    takes percent and words. `stopping` says that somebody wants the job to end soon: return `Released()`.
    """

    job: int
    fence: int
    number: int  # from 1, counting executions
    directory: Path
    report: Callable[[float, str], None]
    stopping: Callable[[], bool]
