"""What administrators set in the portal: one row for each group of settings."""

from django.db import models


class Setting(models.Model):
    """A group of settings by name; `fleet.settings` knows each group's shape and defaults."""

    name = models.CharField(primary_key=True, max_length=40)
    value = models.JSONField()

    def __str__(self) -> str:
        return self.name
