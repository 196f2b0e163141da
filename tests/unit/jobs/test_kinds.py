"""The table of kinds."""

import pytest

from central_dispatch.jobs.kinds import KINDS, Kind, find_kind

SOME = {
    "recordEdit": Kind(name="recordEdit", handler="-", says="-", aliases=("editRecord",)),
    "ftp": Kind(name="ftp", handler="-", says="-"),
}


@pytest.mark.parametrize(
    "name",
    [
        "recordEdit",
        "recordedit",
        "RECORDEDIT",
        "record-edit",
        "record_edit",
        "record edit",
        "editRecord",
        "edit-record",
    ],
)
def test_a_queue_is_found_however_its_users_write_it(name: str) -> None:
    assert find_kind(name, SOME) is SOME["recordEdit"]


@pytest.mark.parametrize("name", ["", "record", "recordEdits", "ftps", "é"])
def test_what_is_no_queue_is_none(name: str) -> None:
    assert find_kind(name, SOME) is None


def test_no_two_kinds_answer_to_one_name() -> None:
    names = [name for kind in KINDS.values() for name in (kind.name, *kind.aliases)]
    assert all(find_kind(name) is kind for kind in KINDS.values() for name in (kind.name, *kind.aliases))
    assert len(set(names)) == len(names)


def test_every_kind_has_a_handler_a_line_for_people_and_settings_in_their_bounds() -> None:
    for name, kind in KINDS.items():
        assert name == kind.name
        module, _, function = kind.handler.partition(":")
        assert module.startswith("central_dispatch.handlers.")
        assert function
        assert kind.says
        assert kind.defaults.problems() == []
