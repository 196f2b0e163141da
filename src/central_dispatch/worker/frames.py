"""What parent, fork server and child say to each other: a length of four bytes, then JSON."""

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

_HEAD = struct.Struct(">I")
#: The largest frame either side takes, in bytes: a payload with its escapes fits, a runaway answer does not.
MAX_BYTES = 4 << 20
_CHUNK = 1 << 18


class Garbage(Exception):
    """What came is not what the other side would say."""


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as it travels."""
    body = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return _HEAD.pack(len(body)) + body


class Decoder:
    """Puts frames together from whatever pieces arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """Return the messages that are whole with this piece; raises `Garbage`."""
        buffer = self._buffer
        buffer += piece
        while len(buffer) >= _HEAD.size:
            (length,) = _HEAD.unpack_from(buffer)
            if length > MAX_BYTES:
                raise Garbage(f"a frame of {length} bytes")
            end = _HEAD.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[_HEAD.size : end])
            del buffer[:end]
            yield _parse(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body.decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise Garbage(str(error)) from None
    if not isinstance(message, dict):
        raise Garbage("a frame that holds no object")
    return message


class Channel:
    """The parent's end of a child's socket. Neither reading nor writing ever waits for the child."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)  # noqa: FBT003 the name says it
        self._end = end
        self._decoder = Decoder()
        self._unsent = b""
        self.ended = False  # the child closed its end

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._end.fileno()

    @property
    def has_unsent(self) -> bool:
        """Something waits until the child takes it: call `flush` when the socket can be written."""
        return bool(self._unsent)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, now or later. A child that is gone is noticed by its end, not here."""
        self._unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as much as the child takes now."""
        try:
            sent = self._end.send(self._unsent)
            self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""

    def receive(self) -> list[dict[str, Any]]:
        """Return the messages that have arrived; raises `Garbage`."""
        try:
            piece = self._end.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            piece = b""
        self.ended = not piece
        return list(self._decoder.feed(piece))

    def close(self) -> None:
        """Give the descriptor back."""
        self._end.close()
