import dispatchers  # noqa: F401 makes Django ready
from central_dispatch.fleet.models import Instance, Run, RunStep
from central_dispatch.portal.pages.signs import SIGNS
from central_dispatch.portal.pages.states import INSTANCE, INSTANCE_ORDER, RUN, STEP, TABLES, look_of


def test_every_state_has_a_look_of_its_own_words() -> None:
    assert set(INSTANCE) == set(Instance.State.values)
    assert set(RUN) == set(Run.State.values)
    assert set(STEP) == set(RunStep.State.values)
    assert set(INSTANCE_ORDER) == set(INSTANCE) - {"deleted"}


def test_states_that_differ_in_colour_alone_do_not_exist() -> None:
    for table in TABLES.values():
        looks = [(look.sign, look.word) for look in table.values()]
        assert len(set(looks)) == len(looks)


def test_every_sign_that_a_state_names_is_drawn() -> None:
    assert {look.sign for table in TABLES.values() for look in table.values()} <= set(SIGNS)


def test_a_state_of_a_newer_version_is_shown_by_its_own_word() -> None:
    assert look_of("run", "being_moved").word == "being moved"
