"""The tables have the same names and columns in every database: models, pages and reports read them all alike."""

import re

import pytest

from central_dispatch.stores.server import mariadb, postgresql
from central_dispatch.stores.server.schema import DROPPED
from central_dispatch.stores.sqlite import schema

# What only servers have, or only SQLite needs.
OWN = {"job_output", "job_clock", "job_stripe"}
_COLUMN = re.compile(r"^\s*([a-z_]+) (?!KEY)[A-Z{]", re.MULTILINE)


def columns(statements: tuple[str, ...]) -> dict[str, list[str]]:
    found = {}
    for statement in statements:
        if made := re.match(r"\s*CREATE TABLE (?:IF NOT EXISTS )?(\w+) \((.*)", statement, re.DOTALL):
            body = made[2] if "\n" in made[2].strip() else made[2].replace(", ", "\n")
            found[made[1]] = _COLUMN.findall("\n" + body)
    return found


@pytest.mark.parametrize("dialect", [postgresql.DIALECT, mariadb.DIALECT], ids=lambda dialect: dialect.name)
def test_tables_and_columns_are_those_of_sqlite(dialect: object) -> None:
    here, there = columns(schema.TABLES), columns(tuple(dialect.tables))  # type: ignore[attr-defined] # a dialect
    assert len(here) >= 10
    assert set(there) - set(here) == OWN
    here["job_epoch"].remove("clock_at")  # on servers each host has its own: job_clock
    assert {name: sorted(there[name]) for name in here} == {name: sorted(found) for name, found in here.items()}


def test_what_is_made_is_removed_on_the_way_back() -> None:
    assert {line.split()[2] for line in DROPPED} == set(columns(tuple(postgresql.DIALECT.tables)))
