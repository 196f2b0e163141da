"""Messages come whole, in order, however they were cut; what is no message is noticed."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.worker import frames

MESSAGES = st.lists(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=30)), max_size=6)


@given(MESSAGES, st.integers(1, 40))
def test_messages_come_whole_and_in_order_however_they_are_cut(messages: list[dict[str, object]], size: int) -> None:
    stream = b"".join(map(frames.encode, messages))
    decoder, found = frames.Decoder(), []
    for start in range(0, len(stream), size):
        found += list(decoder.feed(stream[start : start + size]))
    assert found == messages


@pytest.mark.parametrize(
    "bad", [struct.pack(">I", 1 << 31), struct.pack(">I", 3) + b"{]x", struct.pack(">I", 2) + b"[]", b"\0\0\0\1\xff"]
)
def test_nonsense_is_noticed_and_never_waited_for(bad: bytes) -> None:
    with pytest.raises(frames.Garbage):
        list(frames.Decoder().feed(bad))


def test_a_child_that_does_not_read_does_not_keep_its_parent() -> None:
    ours, theirs = socket.socketpair()
    channel = frames.Channel(ours)
    message = {"payload": "x" * (1 << 20)}
    channel.send(message)
    assert channel.has_unsent
    decoder, found = frames.Decoder(), []
    while not found:
        found = list(decoder.feed(theirs.recv(1 << 16)))
        channel.flush()
    assert found == [message]
    theirs.close()
    assert channel.receive() == []
    assert channel.ended
    channel.close()
