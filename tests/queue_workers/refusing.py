"""A fork server that cannot fork, or dies of trying, as long as a file is there."""

import errno
import os
import signal
import time
from pathlib import Path

#: The file: what it holds says how it goes wrong; each try adds its moment as a line to the file beside it.
VARIABLE = "QUEUE_WORKERS_REFUSING"


def prepare() -> None:
    """Plant it; runs in the fork server before its first fork."""
    place, fork = Path(os.environ[VARIABLE]), os.fork

    def refusing() -> int:
        if not place.exists():
            return fork()
        with place.with_suffix(".tries").open("a", encoding="ascii") as file:
            file.write(f"{time.monotonic()}\n")
        if place.read_text(encoding="ascii") == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    os.fork = refusing
