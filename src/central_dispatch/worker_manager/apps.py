"""Makes the Worker Manager a Django application."""

from django.apps import AppConfig


class WorkerManagerConfig(AppConfig):
    """Jobs, queues and queue workers."""

    name = "central_dispatch.worker_manager"
    label = "worker_manager"
    verbose_name = "Worker Manager"
