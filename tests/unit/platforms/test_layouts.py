import pytest

from central_dispatch.platforms.layouts import DEBIAN, LAYOUTS, RED_HAT, detect
from central_dispatch.provisioning.problem import Problem


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', DEBIAN),
        ("ID=ubuntu\nID_LIKE=debian\n", DEBIAN),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", DEBIAN),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', RED_HAT),
        ("ID=fedora\n", RED_HAT),
        # A later word that nobody knows must not erase the match of an earlier one.
        ('ID=something\nID_LIKE="debian unheard-of"\n', DEBIAN),
        ('ID=something\nID_LIKE="unheard-of rhel another"\n', RED_HAT),
        # The own id decides against the one that it is like.
        ("ID=rocky\nID_LIKE=debian\n", RED_HAT),
        ("# ID=debian\n\nID=Fedora", RED_HAT),
    ],
)
def test_a_distribution_is_known_by_its_id_or_by_what_it_is_like(text: str, layout: object) -> None:
    assert detect(text) is layout


@pytest.mark.parametrize("text", ["", "ID=arch\n", "no assignment\n", "ID=\nID_LIKE=\n"])
def test_an_unknown_distribution_is_said_so_with_what_to_do(text: str) -> None:
    problem = detect(text)
    assert isinstance(problem, Problem)
    assert "debian or red-hat" in problem.mend
    assert problem.field == "layout"


def test_this_machine_is_known() -> None:
    assert not isinstance(detect(), Problem)


def test_the_table_names_each_layout_by_its_own_name() -> None:
    assert {name: layout.name for name, layout in LAYOUTS.items()} == {"debian": "debian", "red-hat": "red-hat"}
