"""Finding the instance that an address names."""

from django.core.exceptions import PermissionDenied
from django.http import Http404

from central_dispatch.fleet import queries
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.models import Instance
from central_dispatch.fleet.permissions import may


def find(instance_id: str) -> Instance:
    """Return the instance, deleted or not, or raise 404."""
    instance = queries.instance(instance_id)
    if instance is None:
        raise Http404
    return instance


def find_for(actor: Actor, act: str, instance_id: str) -> Instance:
    """Return the instance for a page that leads to an act on it, or raise 404, or 403 if it is not permitted."""
    instance = find(instance_id)
    if not may(actor, act, instance):
        raise PermissionDenied(f"{instance.name} is not among the instances that you may act on")
    return instance
