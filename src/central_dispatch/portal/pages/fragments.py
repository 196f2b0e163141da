"""Parts of live pages that many browsers ask for at the same moment: rendered once, handed to all who see the same.

A busy engine changes its lists all the time, and each open page then asks once a second. A part is shared between
persons of the same rights where nothing in it depends on who they are, else between one person's pages alone. It holds
no form token: that is each session's own.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_cache_control, patch_vary_headers

from central_dispatch.portal.access import actor_of
from central_dispatch.portal.pages.rendering import is_part, show
from central_dispatch.worker_manager import counts

#: A part is handed out for so long, in seconds: a figure in it is a second old at most (`counts.FRESH_S` comes first).
FRESH_S = 0.4
_MOST = 200


@dataclass(slots=True)
class _Part:
    lock: threading.Lock = field(default_factory=threading.Lock)
    text: str = ""
    until: float = float("-inf")


class Fragments:
    """The parts rendered last, by what was asked and by whom."""

    def __init__(self, fresh_s: float = FRESH_S, most: int = _MOST) -> None:
        self._fresh_s = fresh_s
        self._most = most
        self._lock = threading.Lock()
        self._parts: OrderedDict[Hashable, _Part] = OrderedDict()

    def get(self, key: Hashable, render: Callable[[], str]) -> str:
        """Return a part, rendered anew where it is too old. Of several threads that ask at once, one renders."""
        with self._lock:
            part = self._parts.setdefault(key, _Part())
            self._parts.move_to_end(key)
            while len(self._parts) > self._most:
                self._parts.popitem(last=False)
        with part.lock:
            began = time.monotonic()
            if began >= part.until:
                part.text = render()
                part.until = began + self._fresh_s
            return part.text

    def forget(self) -> None:
        """Render everything anew."""
        with self._lock:
            self._parts.clear()


FRAGMENTS = Fragments()


def changed() -> None:
    """Count and render anew: this process has just changed something that pages show."""
    counts.forget()
    FRAGMENTS.forget()


def show_shared(
    request: HttpRequest, page: str, part: str, values: Callable[[], dict[str, Any]], *, by_person: bool = False
) -> HttpResponse:
    """Answer as `rendering.show` does; a live page's part may be one that somebody got a moment ago.

    `values` is called only where something is rendered. `by_person`: the part depends on who asks, not only on rights.
    """
    if not is_part(request):
        return show(request, page, part, values())
    actor = actor_of(request)
    rights = (actor.roles, actor.limits, actor.scope)
    key = (part, request.get_full_path(), rights, actor.user_id if by_person else None)
    response = HttpResponse(FRAGMENTS.get(key, lambda: render_to_string(part, values(), request)))
    patch_cache_control(response, no_store=True, private=True)
    patch_vary_headers(response, ("HX-Request",))
    return response
