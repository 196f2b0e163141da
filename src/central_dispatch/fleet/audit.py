"""Records who did what. The portal's trail listens and writes the entry in the same transaction."""

from typing import Any

from django.dispatch import Signal

from central_dispatch.fleet.actor import Actor

#: Sent inside the transaction that does the act, with `actor`, `what`, `subject`, `title`, `before`, `after`.
acted = Signal()


def record(
    actor: Actor,
    what: str,
    subject: str,
    *,
    title: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Tell the trail. `what` is like `instance.deploy`, `subject` like `instance:<id>`; never a secret in either value.

    A listener that fails stops the act: nothing is done that is not on record.
    """
    acted.send(sender=None, actor=actor, what=what, subject=subject, title=title, before=before, after=after)
