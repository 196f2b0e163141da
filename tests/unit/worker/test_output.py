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
