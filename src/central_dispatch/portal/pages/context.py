"""What every page needs: the theme, who is there, and the place in the menu."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.pages.theme import theme_of


def portal(request: HttpRequest) -> dict[str, Any]:
    """Return the values for every template."""
    user = getattr(request, "user", None)
    return {
        "theme": theme_of(request),
        "now_ms": int(timezone.now().timestamp() * 1000),
        # For `{% if actor|may:"worker.create" %}`.
        "actor": user.actor("page", "") if isinstance(user, User) else None,
        "place": place_of(request.path),
        "worker_manager_tabs": tabs_of(request.path),
    }


#: The Worker Manager's tabs, in the seed's words and order: the address's name, where it lies, and the words.
_TABS = (
    ("queue-settings", "/worker-manager/settings/", "General settings"),
    ("queues", "/worker-manager/queues/", "Queues"),
    ("jobs", "/worker-manager/jobs/", "Jobs"),
    ("batches", "/worker-manager/batches/", "Batches"),
    ("schedules", "/worker-manager/schedules/", "Schedules"),
    ("queue-workers", "/worker-manager/workers/", "Workers"),
)


def tabs_of(path: str) -> list[dict[str, Any]]:
    """Return the tabs, the one under which an address lies marked; none outside of the Worker Manager."""
    if not path.startswith("/worker-manager/"):
        return []
    return [{"address": name, "words": words, "here": path.startswith(prefix)} for name, prefix, words in _TABS]


def place_of(path: str) -> str:
    """Return the menu's entry under which an address lies."""
    places = {
        "/instances/": "instances",
        "/runs/": "runs",
        "/worker-manager/queues/": "queues",
        "/worker-manager/jobs/": "jobs",
        "/worker-manager/settings/": "queue-settings",
        "/worker-manager/batches/": "batches",
        "/worker-manager/schedules/": "schedules",
        "/worker-manager/workers/": "queue-workers",
        "/settings/central-dispatch/": "workers",
        "/audit/": "audit",
        "/users/": "users",
        "/tokens/": "tokens",
        "/settings/": "settings",
        "/account/": "account",
    }
    return next((place for prefix, place in places.items() if path.startswith(prefix)), "overview")
