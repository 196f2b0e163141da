"""What running jobs report and print, on its way to the store: the newest each time, a few times a second at most."""

import time
from collections.abc import Callable

from central_dispatch.jobs.job import Claim, Progress
from central_dispatch.jobs.ports import Settled, Store

#: Outputs of one transaction, so that many talkative jobs do not hold the gate for long.
_CHUNK = 32


class Reports:
    """One parent's. `report` and `printed` may be called from any thread, the rest by the clerk's."""

    def __init__(self, store: Store, progress_s: float, output_s: float) -> None:
        """`progress_s`, `output_s`: the least time between two writes, in seconds."""
        self._store = store
        self._progress_s = progress_s
        self._output_s = output_s
        self._progress: dict[tuple[int, int], Progress] = {}
        self._outputs: dict[tuple[int, int], Callable[[], bytes]] = {}
        self._next_progress = self._next_output = 0.0

    def report(self, claim: Claim, progress: Progress) -> bool:
        """Note progress; true where it is the first that waits."""
        self._progress[claim.job, claim.fence] = progress
        return len(self._progress) == 1

    def printed(self, claim: Claim, so_far: Callable[[], bytes]) -> bool:
        """Note that a job printed something; `so_far` returns all of it, from any thread. True as above."""
        self._outputs[claim.job, claim.fence] = so_far
        return len(self._outputs) == 1

    @property
    def due(self) -> float:
        """Return when the next write is due, by the monotonic clock."""
        progress = self._next_progress if self._progress else float("inf")
        return min(progress, self._next_output if self._outputs else float("inf"))

    def write(self) -> None:
        """Write what is due."""
        now = time.monotonic()
        if self._progress and now >= self._next_progress:
            self._write_progress()
            self._next_progress = now + self._progress_s
        if self._outputs and now >= self._next_output:
            self._write_outputs()
            self._next_output = now + self._output_s

    def settled(self, settled: list[Settled]) -> None:
        """Forget what is settled: its last words are in the settlement."""
        for one in settled:
            self._progress.pop((one.claim.job, one.claim.fence), None)
            self._outputs.pop((one.claim.job, one.claim.fence), None)

    def _write_progress(self) -> None:
        reports = dict(self._progress)
        self._store.progress(reports)
        for key, progress in reports.items():
            if self._progress.get(key) is progress:
                del self._progress[key]

    def _write_outputs(self) -> None:
        outputs = list(self._outputs.items())
        for start in range(0, len(outputs), _CHUNK):
            chunk = outputs[start : start + _CHUNK]
            for key, _ in chunk:
                # First forgotten, then read: what is printed meanwhile is written the next time.
                self._outputs.pop(key, None)
            try:
                self._store.keep_output({key: so_far() for key, so_far in chunk})
            except BaseException:
                for key, so_far in chunk:
                    self._outputs.setdefault(key, so_far)
                raise
