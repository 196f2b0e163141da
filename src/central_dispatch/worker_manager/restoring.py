"""After a backup was put back: what was given out since that backup is made worthless."""

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.home import home_directory
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, forbidden
from central_dispatch.stores.places import open_store
from central_dispatch.worker_manager.bells import ring_after_commit
from central_dispatch.worker_manager.models import Job


def restored(by: Actor) -> list[int] | Refused:
    """Make every fence given so far worthless and put running jobs back; returns these.

    The rows of the backup say which jobs ran when it was made. Workers of that time, should they still live, are
    struck off: they end what they run, and their settlements are not taken.
    """
    if not may(by, "store.restored"):
        return forbidden("this is for administrators")
    store = open_store(home_directory())
    try:
        freed = store.raise_epoch(timezone.now())
    finally:
        store.close()
    with transaction.atomic():
        audit.record(by, "store.restored", "store", title="jobs", after={"jobs": len(freed)})
        announce("jobs", "queues", "parents")
        queues = Job.objects.filter(pk__in=freed[:1000]).order_by().values_list("queue", flat=True).distinct()
        ring_after_commit(list(queues))
    return freed
