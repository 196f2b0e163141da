"""Captured output is bounded, and says what is missing."""

from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.worker.output import HEAD_BYTES, TAIL_BYTES, Output


@given(st.lists(st.integers(0, 40_000), max_size=12))
def test_head_and_tail_are_kept_and_the_rest_is_counted(sizes: list[int]) -> None:
    output, whole = Output(), b""
    for index, size in enumerate(sizes):
        piece = bytes([65 + index]) * size
        output.add(piece)
        whole += piece
    kept = output.kept()
    if len(whole) <= HEAD_BYTES + TAIL_BYTES:
        assert kept == whole
    else:
        note = b"\n[... %d bytes are left out ...]\n" % (len(whole) - HEAD_BYTES - TAIL_BYTES)
        assert kept == whole[:HEAD_BYTES] + note + whole[-TAIL_BYTES:]


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(0, 30))
def test_what_is_shown_meanwhile_is_a_beginning_of_what_is_shown_at_the_end(sizes: list[int], before: int) -> None:
    secret = "hunter22-and-more"
    whole = b"." * before + secret.encode() + b" and " + secret.encode()
    output, seen, at = Output(), [], 0
    for size in sizes:
        output.add(whole[at : at + size])
        at += size
        seen.append(output.so_far({secret}))
    kept = output.kept({secret})
    for shown in seen:
        assert b"hunter" not in shown
        assert kept.startswith(shown)


def test_a_tail_that_lies_within_one_long_secret_is_left_out() -> None:
    secret = "0123456789abcdef" * 8000
    output = Output()
    output.add(b"key: " + secret.encode()[: 6000 * 16])
    assert output.kept({secret}) == b"key: \n[... 96000 bytes are left out ...]\n"
