"""The audit trail tells of whatever is done to its rows behind its back."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.portal.audit import verifying
from central_dispatch.portal.audit.chain import link
from central_dispatch.portal.audit.models import AuditEntry
from central_dispatch.portal.audit.verifying import Broken, Whole, verify

BY = Actor("ada", Role.OPERATOR, 7, "api", "192.0.2.1")


@pytest.fixture
def trail(database: Path) -> list[int]:
    """Five entries; returns their ids."""
    assert database
    for number in range(5):
        before, after = {"limit": 1.5, "names": ["é", "b"]}, {"limit": number, "on": None}
        audit.record(BY, "queue.change", f"queue:{number}", title="“ftp”", before=before, after=after)
    return sorted(AuditEntry.objects.values_list("pk", flat=True))


def tamper(statement: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_an_untouched_trail_is_whole_and_grows_from_its_head(trail: list[int]) -> None:
    first = verify()
    assert isinstance(first, Whole)
    assert first.entries == len(trail)
    audit.record(BY, "login", "user:ada")
    later = verify(first.head)
    assert isinstance(later, Whole)
    assert later.head != first.head


@pytest.mark.parametrize(
    "column", ["who", "via", "address", "what", "subject", "title", "before", "after", "at", "seal"]
)
def test_whatever_is_changed_in_an_entry_names_that_entry(trail: list[int], column: str) -> None:
    value = {"before": "{}", "after": "{}", "at": "2020-01-01 00:00:00"}.get(column, "x")
    name = connection.ops.quote_name(column)
    tamper(f"UPDATE audit_auditentry SET {name} = %s WHERE id = %s", value, trail[2])  # noqa: S608 names of columns
    found = verify()
    assert isinstance(found, Broken)
    assert found.entry == trail[2]


def test_an_entry_that_is_missing_is_told_at_the_next_one_and_missing_last_ones_by_the_head(trail: list[int]) -> None:
    tamper("DELETE FROM audit_auditentry WHERE id = %s", trail[4])
    assert verify() == Broken(None, "the trail does not end as it was left: entries at its end were removed or put in")
    tamper("DELETE FROM audit_auditentry WHERE id = %s", trail[1])
    found = verify()
    assert isinstance(found, Broken)
    assert found.entry == trail[2]


def test_an_entry_that_was_put_in_or_moved_is_found(trail: list[int]) -> None:
    tamper("UPDATE audit_auditentry SET id = id + 100 WHERE id = %s", trail[1])
    found = verify()
    assert isinstance(found, Broken)
    assert found.entry == trail[2]


def test_a_trail_that_was_written_anew_does_not_hold_the_head_that_was_kept(trail: list[int]) -> None:
    kept = verify()
    assert isinstance(kept, Whole)
    assert trail
    tamper("DELETE FROM audit_auditentry")
    tamper("DELETE FROM audit_audithead")
    audit.record(BY, "login", "user:ada")
    assert isinstance(verify(), Whole)
    assert isinstance(verify(kept.head), Broken)


def test_an_act_that_is_rolled_back_leaves_no_gap(trail: list[int]) -> None:
    from django.db import transaction  # noqa: PLC0415 only here

    assert trail
    with transaction.atomic():
        audit.record(BY, "login", "user:ada")
        transaction.set_rollback(True)
    audit.record(BY, "logout", "user:ada")
    assert isinstance(verify(), Whole)


_WRITER = """
from central_dispatch.portal.setup import prepare_django
prepare_django()
from django.db import transaction
from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor, Role
for number in range(25):
    with transaction.atomic():
        audit.record(Actor("ada", Role.OPERATOR), "login", f"user:{number}")
"""


def test_several_processes_write_one_chain(trail: list[int]) -> None:
    assert trail
    connections.close_all()
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER]) for _ in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    found = verify()
    assert isinstance(found, Whole)
    assert found.entries == len(trail) + 75


def test_what_is_written_while_the_trail_is_read_is_read_too(trail: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        try:
            audit.record(BY, "login", "user:ada")
        finally:
            connections.close_all()

    calls = []

    def slow(*values: Any) -> str:
        calls.append(1)
        if len(calls) == len(trail):
            writer = threading.Thread(target=write)
            writer.start()
            writer.join()
        return link(*values)

    monkeypatch.setattr(verifying, "link", slow)
    found = verify()
    assert isinstance(found, Whole), found
    assert found.entries == len(trail) + 1


def test_entries_of_the_release_before_are_sealed_by_the_migration(database: Path) -> None:
    assert database
    call_command("migrate", "audit", "0001", verbosity=0)
    for number in range(3):
        tamper(
            "INSERT INTO audit_auditentry (at, who, via, address, what, subject, title)"
            " VALUES (%s, 'a', 'cli', '', 'x', %s, '')",
            f"2026-01-0{number + 1} 10:00:00",
            str(number),
        )
    call_command("migrate", "audit", verbosity=0)
    assert isinstance(found := verify(), Whole)
    assert found.entries == 3
