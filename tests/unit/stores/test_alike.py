"""What services call on Django's connection is there for SQLite and for servers, alike."""

import inspect
from types import ModuleType

import pytest

from central_dispatch.stores.server import acts, assignments, batches, enqueueing, schedules
from central_dispatch.stores.server.queues import Queues
from central_dispatch.stores.sqlite import acts as sqlite_acts
from central_dispatch.stores.sqlite import assignments as sqlite_assignments
from central_dispatch.stores.sqlite import batches as sqlite_batches
from central_dispatch.stores.sqlite import enqueueing as sqlite_enqueueing
from central_dispatch.stores.sqlite import schedules as sqlite_schedules
from central_dispatch.stores.sqlite.queues import Queues as SqliteQueues

PAIRS = {
    "acts": (sqlite_acts, acts),
    "assignments": (sqlite_assignments, assignments),
    "batches": (sqlite_batches, batches),
    "enqueueing": (sqlite_enqueueing, enqueueing),
    "schedules": (sqlite_schedules, schedules),
    "queues": (SqliteQueues, Queues),
}


def functions(where: ModuleType | type) -> dict[str, list[str]]:
    """The public functions of a module or class, with the names of their arguments after the first two or one."""
    ours = where.__module__ if isinstance(where, type) else where.__name__
    return {
        name: [str(one) for one in inspect.signature(found).parameters if one not in {"connection", "session"}]
        for name, found in vars(where).items()
        if inspect.isfunction(found) and found.__module__ == ours and not name.startswith("_")
    }


@pytest.mark.parametrize("name", PAIRS)
def test_whatever_a_service_calls_on_sqlite_is_there_on_servers_with_the_same_arguments(name: str) -> None:
    on_sqlite, on_servers = PAIRS[name]
    here, there = functions(on_sqlite), functions(on_servers)
    assert here
    assert {function: there.get(function) for function in here} == here
