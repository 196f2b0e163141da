"""Makes the audit trail a Django application, which listens to what the fleet's services record."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The audit trail."""

    name = "central_dispatch.portal.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        """Write each recorded act in the transaction that does it."""
        from central_dispatch.portal.audit import trail  # noqa: PLC0415 models are not loaded before this

        trail.listen()
