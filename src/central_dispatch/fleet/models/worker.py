"""Host workers as the dispatcher knows them."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models

from central_dispatch.fleet.ids import new_id
from central_dispatch.provisioning.protocol import Facts, SettingsView

#: A host that was not heard of for this long is *away*; it keeps its runs.
AWAY_AFTER = timedelta(seconds=30)


class Worker(models.Model):
    """One host. What it reports about itself (`facts`, `host_settings`) is shown, never used to form a command."""

    class State(models.TextChoices):
        """Where the worker stands in its life; whether it is online is `is_online`."""

        INVITED = "invited", "invited"
        ENROLLED = "enrolled", "enrolled"
        REVOKED = "revoked", "revoked"

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    name = models.CharField(max_length=63)
    # The name while the worker is not revoked: unique by a nullable key, as MariaDB knows no conditional constraint.
    live_name = models.CharField(max_length=63, unique=True, null=True)  # noqa: DJ001 null means: free
    host_url = models.CharField(max_length=300)
    install_path = models.CharField(max_length=300)  # as proposed; the host's own settings decide
    state = models.CharField(max_length=10, choices=State.choices, default=State.INVITED)
    created_at = models.DateTimeField()
    enrolled_at = models.DateTimeField(null=True)

    default_admin_email = models.CharField(max_length=320, blank=True)
    default_hostname_pattern = models.CharField(max_length=253, default="{name}.{host}")
    default_schedule = models.BooleanField(default=True)
    # Empty: every operator may use it.
    allowed_users = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="usable_workers")

    machine_id = models.CharField(max_length=64, blank=True)
    #: The machine id that the host calls with since it changed, until an administrator accepts it.
    other_machine_id = models.CharField(max_length=64, blank=True)
    sealing_key = models.BinaryField(default=bytes)
    fingerprint = models.CharField(max_length=100, blank=True)
    credential_hash = models.CharField(max_length=64, blank=True, db_index=True)
    session = models.PositiveIntegerField(default=0)
    #: The newest session in which the host called again: one whose answer never reached it does not count.
    used_session = models.PositiveIntegerField(default=0)
    last_seen = models.DateTimeField(null=True)
    facts_json = models.JSONField(default=dict)
    settings_json = models.JSONField(default=dict)
    worker_version = models.CharField(max_length=40, blank=True)
    doing = models.CharField(max_length=300, blank=True)
    #: Why the host is sent no orders until an administrator has looked; empty: none.
    alert = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name

    def is_online(self, now: datetime) -> bool:
        """Say whether the host was heard of within the last 30 s."""
        return self.state == self.State.ENROLLED and self.last_seen is not None and now - self.last_seen <= AWAY_AFTER

    @property
    def is_revoked(self) -> bool:
        """The worker may not call any more."""
        return self.state == self.State.REVOKED

    @property
    def facts(self) -> Facts:
        """What the host found on itself; empty fields before its first session."""
        return Facts.model_validate(self.facts_json)

    @property
    def host_settings(self) -> SettingsView:
        """The host's own settings; empty fields before its first session."""
        return SettingsView.model_validate(self.settings_json)


class EnrolmentToken(models.Model):
    """A one-time token that enrols one worker; only its hash is kept."""

    worker = models.ForeignKey(Worker, on_delete=models.CASCADE, related_name="tokens")
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"token of {self.worker_id}"
