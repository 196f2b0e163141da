from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.provisioning.journal import DURABLE_KINDS, Entry, JournalDamaged, Kind, read_entries, replay

kinds = st.sampled_from(get_args(Kind))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
payloads = st.dictionaries(st.text(max_size=8), json_values, max_size=4)


def journal_of(bodies: list[tuple[Kind, int, dict[str, object]]]) -> list[Entry]:
    return [
        Entry(number, "2026-01-01T00:00:00Z", kind, step, data) for number, (kind, step, data) in enumerate(bodies, 1)
    ]


journals = st.lists(st.tuples(kinds, st.integers(-1, 40), payloads), min_size=1, max_size=6).map(journal_of)


@given(journals)
def test_what_was_written_is_read_back_and_each_line_is_one_line(journal: list[Entry]) -> None:
    lines = [entry.to_line() for entry in journal]
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert read_entries(lines) == journal


@given(journals, st.data())
def test_a_last_line_that_was_torn_anywhere_is_a_write_that_did_not_happen(
    journal: list[Entry], data: st.DataObject
) -> None:
    lines = [entry.to_line() for entry in journal]
    kept = data.draw(st.integers(0, len(lines[-1]) - 1))
    assert read_entries([*lines[:-1], lines[-1][:kept]]) == journal[:-1]


@given(journals.filter(lambda journal: len(journal) > 1), st.data())
def test_a_bad_line_before_the_last_one_is_damage(journal: list[Entry], data: st.DataObject) -> None:
    lines = [entry.to_line() for entry in journal]
    index = data.draw(st.integers(0, len(lines) - 2))
    place = data.draw(st.integers(0, len(lines[index]) - 2))
    changed = bytes([lines[index][place] ^ data.draw(st.integers(1, 255))])
    lines[index] = lines[index][:place] + changed + lines[index][place + 1 :]
    with pytest.raises(JournalDamaged, match="damaged"):
        read_entries(lines)


@given(journals.filter(lambda journal: len(journal) > 1), st.data())
def test_a_line_that_is_missing_or_doubled_is_damage(journal: list[Entry], data: st.DataObject) -> None:
    lines = [entry.to_line() for entry in journal]
    index = data.draw(st.integers(0, len(lines) - 2))
    for broken in (lines[:index] + lines[index + 1 :], [*lines[: index + 1], *lines[index:]]):
        with pytest.raises(JournalDamaged):
            read_entries(broken)


def test_a_journal_whose_first_line_was_never_completed_is_no_run() -> None:
    assert replay(read_entries([b"0000"])) is None
    assert replay([]) is None


def test_only_output_and_waiting_may_be_lost() -> None:
    assert set(get_args(Kind)) - DURABLE_KINDS == {"output", "waiting"}
