"""Managed instances."""

from django.db import models

from central_dispatch.fleet.ids import new_id
from central_dispatch.fleet.models.worker import Worker
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import CertificateView
from central_dispatch.provisioning.spec import DefaultCertificate, InstanceSpec, OwnCertificate


class Instance(models.Model):
    """One copy of a portal on one host. Its state changes only along the table in `fleet.states`."""

    class State(models.TextChoices):
        """The states of DESIGN.md §2."""

        DRAFT = "draft", "draft"
        DEPLOYING = "deploying", "deploying"
        ACTIVE = "active", "active"
        CHANGING = "changing", "changing"
        SUSPENDED = "suspended", "suspended"
        BACKING_OUT = "backing_out", "backing out"
        ARCHIVED = "archived", "archived"
        IN_ERROR = "in_error", "in error"
        STUCK = "stuck", "stuck"
        DELETED = "deleted", "deleted"

    class Tls(models.TextChoices):
        """Whose certificate the instance serves."""

        DEFAULT = "default", "the host's default certificate"
        OWN = "own", "own certificate"

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    worker = models.ForeignKey(Worker, on_delete=models.PROTECT, related_name="instances")
    name = models.CharField(max_length=26)
    live_name = models.CharField(max_length=26, unique=True, null=True)  # noqa: DJ001 null means: free
    source = models.CharField(max_length=63)
    release = models.CharField(max_length=64)
    web_root = models.CharField(max_length=63)
    database = models.CharField(max_length=63)
    database_user = models.CharField(max_length=32)
    admin_email = models.CharField(max_length=320)
    schedule = models.BooleanField(default=True)
    tls = models.CharField(max_length=10, choices=Tls.choices, default=Tls.DEFAULT)
    certificate = models.TextField(blank=True)  # PEM, the leaf
    chain = models.TextField(blank=True)  # PEM, intermediates in order
    sealed_key = models.BinaryField(default=bytes)  # HPKE ciphertext that only the host opens
    certificate_facts = models.JSONField(default=dict)  # protocol.CertificateView of the own certificate
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFT, db_index=True)
    error_json = models.JSONField(null=True)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    deployed_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name

    @property
    def error(self) -> Problem | None:
        """What the last run ended with, if it ended badly."""
        return Problem.from_json(self.error_json) if self.error_json else None

    @property
    def hostname_list(self) -> list[str]:
        """The hostnames in their order; the first one is the main one."""
        return [row.hostname for row in self.hostnames.all()]

    @property
    def url(self) -> str:
        """The address of the instance's front page on its main hostname."""
        names = self.hostname_list
        port = self.worker.host_settings.https_port
        return f"https://{names[0]}{'' if port == 443 else f':{port}'}/" if names else ""  # noqa: PLR2004 HTTPS

    def certificate_view(self) -> CertificateView | None:
        """Return the public facts of the own certificate."""
        return CertificateView.model_validate(self.certificate_facts) if self.certificate_facts else None

    def spec(self) -> InstanceSpec:
        """Return the values that are sent to the host."""
        own = self.tls == self.Tls.OWN
        return InstanceSpec(
            id=self.id,
            name=self.name,
            hostnames=tuple(self.hostname_list),
            source=self.source,
            release=self.release,
            web_root=self.web_root,
            database=self.database,
            database_user=self.database_user,
            admin_email=self.admin_email,
            schedule=self.schedule,
            tls=self._own_certificate() if own else DefaultCertificate(),
        )

    def _own_certificate(self) -> OwnCertificate:
        # `model_construct`: the ciphertext is bytes here and base64 only on the wire.
        return OwnCertificate.model_construct(
            kind="own", certificate=self.certificate, chain=self.chain, sealed_key=bytes(self.sealed_key)
        )


class InstanceHostname(models.Model):
    """A hostname of an instance; no two live instances share one."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="hostnames")
    position = models.PositiveSmallIntegerField()
    hostname = models.CharField(max_length=253)
    live_hostname = models.CharField(max_length=253, unique=True, null=True)  # noqa: DJ001 null means: free

    class Meta:
        ordering = ("position",)
        constraints = (models.UniqueConstraint(fields=("instance", "position"), name="hostname_position"),)

    def __str__(self) -> str:
        return self.hostname
