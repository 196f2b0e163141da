"""The queue workers that run: heartbeat, load, and what each does now."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from central_dispatch.jobs.kinds import KINDS
from central_dispatch.worker_manager.models import Job, Parent

#: A queue worker beats every few seconds; one that was silent for this long is being waited for by the sweepers.
AWAY_AFTER = timedelta(seconds=30)
#: Jobs that are shown of each.
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class QueueWorker:
    """One queue worker. `jobs`: those that it runs, the longest first."""

    parent: Parent
    jobs: tuple[Job, ...]

    @property
    def busy(self) -> int:
        """How many jobs it runs."""
        return len(self.jobs)

    @property
    def shown(self) -> tuple[Job, ...]:
        """The jobs that a list shows."""
        return self.jobs[:_SHOWN]

    @property
    def more(self) -> int:
        """How many more it runs."""
        return len(self.jobs) - len(self.shown)

    @property
    def serves_all(self) -> bool:
        """It serves every queue that there is."""
        return set(self.parent.queues) >= set(KINDS)

    def state(self, now: datetime) -> str:
        """Return `online` or `away`."""
        return "online" if now - self.parent.beat_at < AWAY_AFTER else "away"


def queue_workers() -> list[QueueWorker]:
    """Return all that run, by host and process. Two queries."""
    running: dict[str, list[Job]] = defaultdict(list)
    # Written out and not bound: only then the planner knows that the partial index of the state serves.
    for job in Job.objects.extra(where=["state = 'running'"]).order_by("started_at"):
        running[job.parent or ""].append(job)
    return [QueueWorker(parent, tuple(running[parent.pk])) for parent in Parent.objects.all()]


def queue_worker(key: str) -> QueueWorker | None:
    """Return one."""
    parent = Parent.objects.filter(pk=key).first()
    if parent is None:
        return None
    jobs = Job.objects.extra(where=["state = 'running'"])
    return QueueWorker(parent, tuple(jobs.filter(parent=key).order_by("started_at")))
