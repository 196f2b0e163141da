"""A TCP proxy that has a commit happen and keeps its answer: the connection is reset between the two."""

import select
import socket
import struct
import threading
from contextlib import suppress

_RESET = struct.pack("ii", 1, 0)


class CommitCutter:
    """Forwards to a port of this machine. `armed`: the next message that says COMMIT is answered to nobody."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.armed = False
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._target)) as far, suppress(OSError):
            while True:
                for end in select.select([near, far], [], [])[0]:
                    piece = end.recv(1 << 16)
                    if not piece:
                        return
                    (far if end is near else near).sendall(piece)
                    if end is near and self.armed and b"COMMIT" in piece.replace(b"COMMITTED", b""):
                        far.recv(1 << 16)  # it is committed: the server says so, and nobody hears it
                        self.armed = False
                        self.cuts += 1
                        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                        return
