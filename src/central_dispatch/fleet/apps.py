"""Makes the fleet's records a Django application."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    """Workers, instances and runs."""

    name = "central_dispatch.fleet"
    label = "fleet"
    verbose_name = "Fleet"
