"""Finding the instance that an address names."""

from django.http import Http404

from central_dispatch.fleet import queries
from central_dispatch.fleet.models import Instance


def find(instance_id: str) -> Instance:
    """Return the instance, deleted or not, or raise 404."""
    instance = queries.instance(instance_id)
    if instance is None:
        raise Http404
    return instance
