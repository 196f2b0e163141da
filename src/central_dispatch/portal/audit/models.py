"""The audit trail's table."""

from typing import Any

from django.db import models


class AppendOnly(Exception):
    """An audit entry is never changed or removed."""


class Entries(models.QuerySet["AuditEntry"]):
    """Entries, which can be read and added."""

    def update(self, **_values: object) -> int:
        """Refuse."""
        raise AppendOnly("audit entries cannot be changed")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Refuse."""
        raise AppendOnly("audit entries cannot be removed")


class AuditEntry(models.Model):
    """One act: who, what, on which thing, what it was before and after, and from where."""

    at = models.DateTimeField(db_index=True)
    who = models.CharField(max_length=150)
    via = models.CharField(max_length=10)  # page, api, cli, host
    address = models.CharField(max_length=64, blank=True)
    what = models.CharField(max_length=60, db_index=True)  # "instance.deploy"
    subject = models.CharField(max_length=60, db_index=True)  # "instance:<id>"
    title = models.CharField(max_length=300, blank=True)  # the subject's name at that time
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    #: The chain's link to the entry before it (`audit.chain`).
    seal = models.CharField(max_length=64, default="", db_default="", editable=False)

    objects = Entries.as_manager()

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.who} {self.what}"

    def save(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 Django's own signature
        """Insert; refuse to change."""
        if self.pk is not None:
            raise AppendOnly("an audit entry cannot be changed")
        super().save(*args, **kwargs)

    def delete(self, *_args: object, **_kwargs: object) -> tuple[int, dict[str, int]]:
        """Refuse."""
        raise AppendOnly("an audit entry cannot be removed")


class AuditHead(models.Model):
    """The trail's last seal, in one row: who writes an entry holds it, so that the chain has one order."""

    seal = models.CharField(max_length=64)

    def __str__(self) -> str:
        return self.seal
