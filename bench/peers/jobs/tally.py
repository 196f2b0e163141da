"""The job of every system: a byte into a file that the bench watches, and, of one kind, 10 ms of sleep before."""

import os
import time

_descriptors = {}


def count():
    # Opened by each process: a descriptor from before a fork would do as well, but not every worker forks.
    pid = os.getpid()
    if pid not in _descriptors:
        _descriptors[pid] = os.open(os.environ["TALLY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(_descriptors[pid], b".")


def sleep_and_count():
    time.sleep(0.01)
    count()
