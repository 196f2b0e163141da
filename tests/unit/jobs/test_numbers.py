"""Sets of numbers, as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.jobs.numbers import parse_numbers


def test_numbers_and_ranges_are_read_in_order_each_number_once() -> None:
    assert parse_numbers("7, 1-3,2-4 ,9-9").ranges == ((1, 4), (7, 7), (9, 9))


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "1,,2", "1.5", "1" * 19])
def test_what_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_numbers(text)


def test_a_huge_range_costs_nothing_until_it_is_walked() -> None:
    numbers = parse_numbers("1-999999999999999999")
    assert sum(last - first + 1 for first, last in numbers.ranges) == 999_999_999_999_999_999
    assert next(numbers.from_index(10**17)) == 10**17 + 1


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), min_size=1, max_size=8), st.integers(0, 80))
def test_it_is_the_set_of_its_numbers_from_any_place_on(pieces: list[tuple[int, int]], index: int) -> None:
    numbers = parse_numbers(",".join(f"{first}-{first + more}" for first, more in pieces))
    expected = sorted({number for first, more in pieces for number in range(first, first + more + 1)})
    assert len(numbers) == len(expected)
    assert list(numbers.from_index(index)) == expected[index:]
