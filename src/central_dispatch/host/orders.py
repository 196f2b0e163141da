"""What becomes of a new order: an answer at once, a refusal, or a run whose journal has begun."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from central_dispatch.host.journal_file import Begin
from central_dispatch.host.journals import Journals
from central_dispatch.host.machine import Machine
from central_dispatch.host.planner import Planned
from central_dispatch.host.report import Reporter, plan_views
from central_dispatch.provisioning.ports import Vault
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.protocol import Order, RunEvent

_log = logging.getLogger(__name__)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What runs are carried out with. `machine_id` is this machine's; `session` the dispatcher's number, 0 for none."""

    machine: Machine
    machine_id: str
    journals: Journals
    vault: Vault
    reporter: Reporter
    session: Callable[[], int]
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


class Orders:
    """Answers orders. Each method blocks for as long as the machine takes, and never raises what can be answered."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._with = surroundings

    def look(self, order: Order) -> None:
        """Answer an order that changes nothing: a plan or an inventory."""
        if order.kind == "inventory":
            items = self._guarded(lambda: self._with.machine.planner().inventory(order))
            if isinstance(items, Problem):
                self.refuse(order.run, [items])
            else:
                self._answer(order.run, "found", {"items": [item.model_dump(mode="json") for item in items]})
            return
        planned = self._planned(order)
        if isinstance(planned, Planned):
            self._answer(order.run, "planned", {**plan_views(planned.plan), "problems": []})
        else:
            problems = [problem.to_json() for problem in planned]
            self._answer(order.run, "planned", {"steps": [], "tail": [], "problems": problems})

    def begin(self, order: Order, wish: Callable[[], Problem | None]) -> bool:
        """Plan a run and begin its journal; False where it was refused, or had begun before."""
        planned = self._planned(order)
        problems = planned if isinstance(planned, list) else [wanted] if (wanted := wish()) else []
        if not isinstance(planned, Planned) or problems:
            self.refuse(order.run, problems)
            return False
        begin = Begin(order.run, self._with.machine_id, self._with.session(), planned.plan)
        try:
            # Before the first intent that uses them: what is made with a lost password could not be undone.
            if planned.secrets:
                self._with.vault.make(order.spec.id, planned.secrets)
            self._with.journals.create(begin).close()
        except HostError as error:
            self.refuse(order.run, [error.problem])
            return False
        except FileExistsError:
            return False
        except OSError as error:
            mend = "Make room or mend the disk, then deploy again."
            what = "The host's journal cannot be written"
            self.refuse(order.run, [Problem(what, error.strerror or str(error), mend, "worker")])
            return False
        return True

    def refuse(self, run: str, problems: Iterable[Problem]) -> None:
        """Report that a run does not begin, and why: it is over."""
        self._answer(run, "refused", {"problems": [problem.to_json() for problem in problems]})

    def _planned(self, order: Order) -> Planned | list[Problem]:
        planned = self._guarded(lambda: self._with.machine.planner().plan(order))
        return [planned] if isinstance(planned, Problem) else planned

    @staticmethod
    def _guarded(look: Callable[[], Found]) -> Found | Problem:
        try:
            return look()
        except HostError as error:
            return error.problem
        except Exception as error:  # noqa: BLE001 a bug in a look ends the order, not the host worker
            _log.exception("an order could not be planned")
            return unexpected(error)

    def _answer(self, run: str, kind: str, data: dict[str, Any]) -> None:
        at = self._with.now().isoformat(timespec="milliseconds")
        self._with.reporter.answer(run, RunEvent(sequence=1, at=at, kind=kind, data=data))


def unexpected(error: Exception) -> Problem:
    """Return a bug as a problem."""
    mend = "Look at the host worker's log, and report it."
    return Problem("An unexpected error", f"{type(error).__name__}: {error}", mend, "worker")
