"""What changed, for the live pages: written in the transaction that changes, read by each process's poller."""

from django.db import models


class Change(models.Model):
    """A hint that everything under `topic` should be looked at again. Pruned after an hour."""

    id = models.BigAutoField(primary_key=True)
    topic = models.CharField(max_length=60)
    at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.topic
