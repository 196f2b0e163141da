"""What a job prints, bounded and without secrets: the beginning and the end are kept, the middle is counted."""

from collections.abc import Collection

from central_dispatch.jobs.masking import shown_output
from central_dispatch.worker.cuts import begun_at_the_end, ended_at_the_start

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

    def so_far(self, secrets: Collection[str] = ()) -> bytes:
        """Return what is kept until now; changes nothing, and may be called from another thread.

        The beginning of a secret at its end waits for what follows.
        """
        tail = bytes(self._tail)
        cut = self._cut + max(0, len(tail) - TAIL_BYTES)
        return self._shown(bytes(self._head), cut, tail[-TAIL_BYTES:], secrets, goes_on=True)

    def kept(self, secrets: Collection[str] = ()) -> bytes:
        """Return what is kept, these secrets masked; one that the cut goes through is left out whole."""
        if len(self._tail) > TAIL_BYTES:
            self._trim()
        return self._shown(bytes(self._head), self._cut, bytes(self._tail), secrets, goes_on=False)

    @staticmethod
    def _shown(head: bytes, cut: int, tail: bytes, secrets: Collection[str], *, goes_on: bool) -> bytes:
        if goes_on:
            whole = tail if cut else head + tail
            whole = whole[: len(whole) - begun_at_the_end(whole, secrets)]
            head, tail = (head, whole) if cut else (whole, b"")
        if not cut:
            return shown_output(head + tail, secrets)
        head = shown_output(head, secrets)  # what is whole first: it may look like a beginning
        before, after = begun_at_the_end(head, secrets), ended_at_the_start(tail, secrets)
        note = b"\n[... %d bytes are left out ...]\n" % (cut + before + after)
        return head[: len(head) - before] + note + shown_output(tail[after:], secrets)

    def _trim(self) -> None:
        surplus = len(self._tail) - TAIL_BYTES
        del self._tail[:surplus]
        self._cut += surplus
