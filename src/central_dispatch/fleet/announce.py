"""Tells the live pages and waiting hosts that something changed: a row in the transaction, a call after it."""

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from central_dispatch.fleet.models import Change, Instance, Run, Worker

#: Sent after the commit, with `topics`, in the process that committed. Other processes see the rows.
announced = Signal()


def announce(*topics: str) -> None:
    """Record that everything under these topics changed. Call inside the transaction that changes it."""
    now = timezone.now()
    unique = tuple(dict.fromkeys(topics))
    Change.objects.bulk_create([Change(topic=topic, at=now) for topic in unique])
    transaction.on_commit(lambda: _tell(unique))


def _tell(topics: tuple[str, ...]) -> None:
    # Robust: the transaction has happened, and a listener's fault must not make its caller think otherwise.
    announced.send_robust(sender=None, topics=topics)


def worker_changed(worker: Worker) -> None:
    """Announce a worker."""
    announce(f"worker:{worker.pk}", "workers")


def instance_changed(instance: Instance) -> None:
    """Announce an instance."""
    announce(f"instance:{instance.pk}", "instances", f"worker:{instance.worker_id}")


def orders_changed(worker_id: str) -> None:
    """Wake the worker's long poll: there is something for its host."""
    announce(f"orders:{worker_id}")


def run_changed(run: Run) -> None:
    """Announce a run and the instance that shows it."""
    announce(f"run:{run.pk}", "runs", f"instance:{run.instance_id}")
