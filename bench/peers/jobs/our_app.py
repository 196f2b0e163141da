"""This engine's producer: the store and the bells of a directory, without a portal around them."""

import os
from datetime import UTC, datetime
from pathlib import Path

from central_dispatch.jobs.job import NewJob
from queue_workers.rig import open_broker, open_store

JOBS = {
    "no-op": NewJob(kind="tally", payload={"seconds": 0}),
    "10ms": NewJob(kind="tally", payload={"seconds": 0.01}),
}
store, broker = open_store(Path(os.environ["RIG"])), open_broker(Path(os.environ["RIG"]))


def burst(kind, count):
    # As an expansion does: some hundred rows in a transaction, a bell after each.
    for start in range(0, count, 300):
        store.enqueue([JOBS[kind]] * min(300, count - start), datetime.now(UTC))
        broker.ring(["tally"])


def one(kind):
    store.enqueue([JOBS[kind]], datetime.now(UTC))
    broker.ring(["tally"])
