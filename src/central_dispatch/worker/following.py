"""Follows a worker's assignment: what it serves, and how much of it at a time. Used by the clerk's thread."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from central_dispatch.jobs.ports import Broker, Parent, Store
from central_dispatch.worker.claims import Claims

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resized:
    """The assignment has changed: so many jobs at a time from now on."""

    slots: int


class Following:
    """`parent` is what is served now. What runs of a queue that is served no more ends as it would have."""

    def __init__(
        self, store: Store, broker: Broker, parent: Parent, claims: Claims, post: Callable[[Any], None],
        heard: Callable[[str], None], known: Collection[str],
    ) -> None:  # fmt: skip
        """`known`: the queues that an assignment may name; `heard` takes the bells of those that are served."""
        self._store = store
        self._broker = broker
        self._claims = claims
        self._post = post
        self._heard = heard
        self._known = known
        self.parent = parent

    def look(self) -> None:
        """Read the assignment, if there is one, and follow it where it changed. One that was removed holds on."""
        before = self.parent
        found = self._store.assignment(before.assignment) if before.assignment else None
        if found is None:
            return
        queues = found.served(self._known)
        if (queues, found.slots) == (before.queues, before.slots):
            return
        self._store.follow(before.id, queues, found.slots)
        _log.info("assignment %s: %d at a time, queues: %s", found.name, found.slots, ", ".join(queues) or "none")
        self.parent = replace(before, queues=queues, slots=found.slots)
        self._claims.serve(self.parent)
        self._post(Resized(found.slots))
        self.listen()

    def listen(self) -> None:
        """Hear the bells of the queues that are served now."""
        try:
            self._broker.listen(self.parent.queues, self._heard)
        except OSError as error:
            _log.warning("bells cannot be heard, jobs start up to a second later: %s", error)
