"""A TCP proxy on a free loopback port, whose connections can be cut, or swallow all that is said."""

import select
import socket
import struct
import threading
from contextlib import suppress

_CHUNK = 1 << 16
#: Closing sends a reset: neither side is told kindly.
_RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """Forwards to a port of this machine. While it holds, bytes are swallowed and connections stay open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._holding = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Reset all connections; returns how many there were."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)
        return len(pairs)

    def hold(self) -> None:
        """Swallow all that is said from now on, as a network does that lost its way."""
        self._holding = True

    def release(self) -> None:
        """Forward again. What was swallowed is lost, so the connections of that time are cut."""
        self.cut()
        self._holding = False

    def close(self) -> None:
        """Stop listening and cut what there is."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=10)
        except OSError:
            near.close()
            return
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (near, far)
        with self._lock:
            self._pairs.add(pair)
        with suppress(OSError):
            self._forward(near, far)
        with self._lock:
            self._pairs.discard(pair)
        near.close()
        far.close()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        while True:
            for end in select.select([near, far], [], [])[0]:
                piece = end.recv(_CHUNK)
                if not piece:
                    return
                if not self._holding:
                    (far if end is near else near).sendall(piece)
