"""What a job prints, bounded: the beginning and the end are kept, the middle is counted."""

HEAD_BYTES = 64 << 10
TAIL_BYTES = 16 << 10


class Output:
    """Takes any amount, keeps at most head and tail and one line between them."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._cut = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        room = HEAD_BYTES - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:] if room < len(piece) else b""
        # Cut rarely: the tail may grow to twice its bound before it is moved.
        if len(self._tail) > 2 * TAIL_BYTES:
            self._trim()

    @property
    def is_flooded(self) -> bool:
        """More came than is kept: whoever reads may let the writer wait."""
        return self._cut > 0

    def so_far(self) -> bytes:
        """Return what is kept until now; changes nothing, and may be called from another thread."""
        tail = bytes(self._tail)
        cut = self._cut + max(0, len(tail) - TAIL_BYTES)
        return self._joined(bytes(self._head), cut, tail[-TAIL_BYTES:])

    def kept(self) -> bytes:
        """Return what is kept."""
        if len(self._tail) > TAIL_BYTES:
            self._trim()
        return self._joined(bytes(self._head), self._cut, bytes(self._tail))

    @staticmethod
    def _joined(head: bytes, cut: int, tail: bytes) -> bytes:
        return head + (b"\n[... %d bytes are left out ...]\n" % cut if cut else b"") + tail

    def _trim(self) -> None:
        surplus = len(self._tail) - TAIL_BYTES
        del self._tail[:surplus]
        self._cut += surplus
