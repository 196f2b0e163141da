"""What a job's record shows beyond its row: its history, batch, locks, and what decides whether it begins."""

from central_dispatch.jobs.kinds import KINDS
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.worker_manager import batches
from central_dispatch.worker_manager.batches import Progress
from central_dispatch.worker_manager.models import Batch, Job, Lock, Parent
from central_dispatch.worker_manager.queries import attempts, job
from central_dispatch.worker_manager.tables import QUEUES, reading

__all__ = [
    "attempts", "batch", "batch_of_splitter", "holders", "is_served", "job", "locks_of", "parent", "queue_names",
    "running_in", "settings",
]  # fmt: skip
#: Locks that a record lists.
_LOCKS_SHOWN = 50


def parent(key: str) -> Parent | None:
    """Return a queue worker that runs."""
    return Parent.objects.filter(pk=key).first()


def settings(queue: str) -> QueueSettings:
    """Return a queue's settings as they are now."""
    return QUEUES.settings(reading(), queue)


def queue_names() -> list[str]:
    """Return the names of all queues."""
    return sorted(KINDS)


def batch(number: int) -> Progress | None:
    """Return a batch with how far it is."""
    found = batches.find(number)
    return batches.progress(found) if found else None


def batch_of_splitter(number: int) -> Progress | None:
    """Return the batch that this job splits a message into."""
    found = Batch.objects.filter(job=number).first()
    return batches.progress(found) if found else None


def locks_of(found: Job) -> list[Lock]:
    """Return the locks that a running job holds."""
    if found.state != Job.State.RUNNING:
        return []
    return list(Lock.objects.filter(job=found.pk, fence=found.fence)[:_LOCKS_SHOWN])


def holders(resource: str) -> list[int]:
    """Return the running jobs that hold a thing."""
    held = dict(Lock.objects.filter(resource=resource).values_list("job", "fence"))
    running = Job.objects.filter(pk__in=held, state=Job.State.RUNNING).order_by("pk")
    return [number for number, fence in running.values_list("pk", "fence") if held[number] == fence]


def running_in(queue: str) -> int:
    """Return how many jobs of a queue run."""
    return Job.objects.filter(queue=queue, state=Job.State.RUNNING).count()


def is_served(queue: str) -> bool:
    """Say whether a queue worker that runs serves this queue."""
    return any(queue in queues for queues in Parent.objects.values_list("queues", flat=True))
