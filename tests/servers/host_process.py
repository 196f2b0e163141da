"""A real host worker in a process of its own, forked from the test: it starts at once, and can be killed at will."""

import logging
import os
import signal
from contextlib import suppress

from central_dispatch.host import worker
from central_dispatch.host.settings import Home


class HostProcess:
    """One host worker, started as its service starts it, or `once` as cron does."""

    def __init__(self, home: Home, *, once: bool = False) -> None:
        self.pid = os.fork()
        self._status: int | None = None
        if self.pid == 0:
            code = 1
            with suppress(BaseException):
                # A test's handlers and its captured streams belong to the parent.
                logging.getLogger().handlers.clear()
                os.setpgid(0, 0)
                code = worker.run(home, once=once).code
            os._exit(code)

    def kill(self) -> None:
        """End it as a power cut to it alone would."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def terminate(self) -> None:
        """Tell it to stop, as the service manager does."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end; return its exit status, negative for a signal. Idempotent."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status
