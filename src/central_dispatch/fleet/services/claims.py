"""What a host is told to do. Asking again is harmless; a run is only ever its own worker's."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet.announce import run_changed
from central_dispatch.fleet.models import Run, Worker
from central_dispatch.fleet.services.hosts import StaleSession, stale_session
from central_dispatch.fleet.services.transitions import signal_run
from central_dispatch.fleet.states import OPEN_RUNS, Signal
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import Claim, Claimed, Order, Wish

#: What was sent and not taken up is sent again after this, in the same session: the answer may have been lost.
SEND_AGAIN_AFTER = timedelta(seconds=5)
#: The most orders in one answer; the rest follow with the next claim.
BATCH = 50


def claim(worker_id: str, message: Claim, *, first_look: bool = True) -> Claimed | StaleSession:
    """Return what there is for the host now; it may be nothing. `first_look`: the call has just come in.

    Only a first look may conclude from what the host knows, or from its calling at all: what it lists grows old
    while it waits, and a host worker that was killed leaves its call behind.
    """
    with transaction.atomic():
        worker = Worker.objects.select_for_update().get(pk=worker_id)
        if message.session != worker.session:
            return stale_session(worker, message.session) if first_look else StaleSession(worker.session, worker.alert)
        now = timezone.now()
        if first_look:
            worker.last_seen, worker.used_session = now, message.session
            worker.save(update_fields=["last_seen", "used_session"])
        runs = list(Run.objects.select_related("instance", "worker").filter(worker=worker, state__in=OPEN_RUNS))
        runs.sort(key=lambda run: run.pk)
        if first_look:
            runs = _without_lost(runs, message)
        wishes = _due_wishes(runs, now)
        # An alert holds new orders back; what is under way may still be turned round.
        orders = [] if worker.alert else _due_orders(runs, message, now)
        return Claimed(orders=tuple(orders), wishes=tuple(wishes))


def has_something(worker_id: str, message: Claim) -> bool:
    """Look, without the write lock, whether `claim` would answer with something (or refuse)."""
    worker = Worker.objects.filter(pk=worker_id).first()
    if worker is None or worker.session != message.session:
        return True
    now = timezone.now()
    runs = list(Run.objects.filter(worker=worker, state__in=OPEN_RUNS))
    waits = any(_is_order_due(run, message, now) for run in runs) and not worker.alert
    return waits or any(_is_wish_due(run, now) for run in runs)


def _without_lost(runs: list[Run], message: Claim) -> list[Run]:
    """Take out the runs whose journal the host has no longer: begun in a former session, and not listed."""
    kept = []
    for run in runs:
        if run.through and run.session < message.session and run.pk not in message.known:
            signal_run(run, Signal.LOST, _lost(run))
        else:
            kept.append(run)
    return kept


def _lost(run: Run) -> Problem:
    return Problem(
        "The host no longer holds the journal of this run",
        f"{run.worker.name} was restored from a copy, or the journal was removed",
        "Take an inventory, and confirm what is to be cleared.",
    )


def _due_orders(runs: Iterable[Run], message: Claim, now: datetime) -> list[Order]:
    due = [run for run in runs if _is_order_due(run, message, now)][:BATCH]
    for run in due:
        if run.state == Run.State.REQUESTED:
            run.state, run.claimed_at = Run.State.CLAIMED, now
        run.sent_at, run.session = now, message.session
        run.save(update_fields=["state", "claimed_at", "sent_at", "session"])
        run_changed(run)
    return [_order(run) for run in due]


def _is_order_due(run: Run, message: Claim, now: datetime) -> bool:
    if run.state == Run.State.REQUESTED:
        return True
    if run.state != Run.State.CLAIMED or run.pk in message.known:
        return False
    return run.session != message.session or run.sent_at is None or now - run.sent_at >= SEND_AGAIN_AFTER


def _order(run: Run) -> Order:
    return Order.model_validate(
        {"run": run.pk, "kind": run.kind, "spec": run.spec, "requested_by": run.requested_by, "items": run.items}
    )


def _due_wishes(runs: Iterable[Run], now: datetime) -> list[Wish]:
    due = [run for run in runs if _is_wish_due(run, now)]
    for run in due:
        run.wish_sent_at = now
        run.save(update_fields=["wish_sent_at"])
    return [Wish.model_validate({"run": run.pk, "verb": run.wish, "by": run.wish_by}) for run in due]


def _is_wish_due(run: Run, now: datetime) -> bool:
    if not run.wish:
        return False
    return run.wish_sent_at is None or now - run.wish_sent_at >= SEND_AGAIN_AFTER
