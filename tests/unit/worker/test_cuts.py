"""Where something is cut, no part of a secret is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.jobs.masking import MASK
from central_dispatch.worker.cuts import begun_at_the_end, ended_at_the_start, shown_start

_few = st.text("ab", min_size=1, max_size=6)


@given(st.binary(max_size=0) | st.text("abc", max_size=12).map(str.encode), st.sets(_few, max_size=3))
def test_the_parts_are_as_long_as_the_longest_that_there_is(output: bytes, secrets: set[str]) -> None:
    known = [secret.encode() for secret in secrets]
    begun = [size for secret in known for size in range(len(secret)) if output.endswith(secret[:size])]
    assert begun_at_the_end(output, secrets) == max(begun, default=0)
    ended = [size for secret in known for size in range(len(secret)) if output.startswith(secret[len(secret) - size :])]
    middle = [len(output)] if any(output in secret for secret in known) else []
    assert ended_at_the_start(output, secrets) == max(ended + middle, default=0)


@pytest.mark.parametrize("before", [95, 96, 99, 100, 1580, 1595, 1599, 1600, 5000])
def test_a_secret_that_a_text_is_cut_in_is_masked_whole(before: int) -> None:
    shown = shown_start("." * before + "hunter22-and-more", {"hunter22-and-more"}, 100)
    assert "hun" not in shown
    assert len(shown) <= 100


def test_many_secrets_that_shrink_to_masks_bring_no_part_of_one_to_the_front() -> None:
    secret = "s3cr3t-" * 30
    shown = shown_start(secret * 40, {secret}, 100)
    assert shown.replace(MASK, "").strip("…•") == ""


def test_a_short_text_is_whole() -> None:
    assert shown_start("530 login refused", {"hunter22"}, 100) == "530 login refused"
