"""A queue worker's figures for Prometheus."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from central_dispatch import __version__
from central_dispatch.jobs.ports import Broker, Depth, Settled
from central_dispatch.worker.vitals import Vitals

# When a series began says nothing here, and doubles the page.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)
_PAGE = os.sysconf("SC_PAGE_SIZE")
_Values = Mapping[tuple[str, ...], float]
_OUTCOMES = ("done", "failed", "deferred", "crashed", "stopped", "released")


class Metrics:
    """Counts what was settled, and asks the worker's parts when it is scraped. Depths are brought by `depths`."""

    def __init__(self, vitals: Vitals, broker: Broker) -> None:
        self._vitals = vitals
        self._broker = broker
        #: How much is in the queues, as last read; None before that, and while the database does not answer.
        self.depths: Sequence[Depth] | None = None
        self._registry = CollectorRegistry()
        self._executions = Counter(
            "central_dispatch_executions",
            "Executions that ended here, by queue and outcome.",
            ("queue", "outcome"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "central_dispatch_execution_seconds",
            "How long executions took, by queue.",
            ("queue",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_Now(self))
        vitals.heard.append(self.count)

    def count(self, settled: Sequence[Settled]) -> None:
        """Count executions. From the clerk's thread."""
        for one in settled:
            self._executions.labels(one.claim.kind, one.outcome).inc()
            self._seconds.labels(one.claim.kind).observe(max(0.0, (one.ended_at - one.started_at).total_seconds()))

    def know(self, queues: Iterable[str]) -> None:
        """Show these queues from the start, with nothing: a rate can be taken only of a series that is there."""
        for queue in queues:
            self._seconds.labels(queue)
            for outcome in _OUTCOMES:
                self._executions.labels(queue, outcome)

    def page(self) -> bytes:
        """Return the page that Prometheus scrapes."""
        return generate_latest(self._registry)

    def now(self) -> Iterable[Metric]:
        """Return what is looked up at each scrape."""
        parts = self._vitals.parts
        yield _many("build_info", "The version, as a label.", ("version",), {(__version__,): 1.0})
        yield _one("database_up", "1 while the database answers.", float(parts is not None and not parts.desk.down))
        yield _one("broker_up", "1 while bells ring at once.", float(not self._broker.problem()))
        if parts is not None:
            yield _one("worker_slots", "Jobs that may run here at a time.", parts.crew.slots)
            yield _one("worker_busy", "Jobs that run here.", parts.crew.busy)
            yield _one("worker_draining", "1 after the worker was told to end.", float(self._vitals.draining()))
            yield _one("worker_turn_age_seconds", "Since the main loop turned.", time.monotonic() - parts.loop.turned)
            age = time.monotonic() - self._vitals.beaten
            yield _one("worker_beat_age_seconds", "Since a beat went through; a lease ends after 30.", age)
            yield from _memory(parts.crew.pids)
        yield from _of_queues(self.depths or ())


class _Now(Collector):
    """Hands the registry what is looked up at each scrape."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return it."""
        return self._metrics.now()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not scrape."""
        return ()


def _memory(pids: Sequence[int]) -> Iterable[Metric]:
    children = [resident_bytes(pid) for pid in pids]
    yield _one("worker_children", "Processes that run jobs, or are ready to.", len(children))
    yield _one("worker_parent_resident_bytes", "Memory of the parent.", resident_bytes(os.getpid()))
    yield _one("worker_children_resident_bytes", "Memory of the children, together.", sum(children))
    yield _one("worker_largest_child_resident_bytes", "Memory of the largest child.", max(children, default=0))


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory; 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123 many of them at each scrape
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _of_queues(depths: Sequence[Depth]) -> Iterable[Metric]:
    jobs: dict[tuple[str, ...], float] = {}
    for depth in depths:
        counts = {"waiting": depth.waiting, "running": depth.running, "in_error": depth.in_error}
        jobs |= {(depth.queue, state): float(count) for state, count in counts.items()}
    yield _many("queue_jobs", "Jobs in the queue, over all workers.", ("queue", "state"), jobs)
    ages: _Values = {(depth.queue,): depth.oldest_due_s or 0.0 for depth in depths}
    yield _many("queue_oldest_due_seconds", "How long the first due job has waited.", ("queue",), ages)
    paused: _Values = {(depth.queue,): float(depth.paused) for depth in depths}
    yield _many("queue_paused", "1 while the queue is paused.", ("queue",), paused)


def _one(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"central_dispatch_{name}", says, value=value)


def _many(name: str, says: str, labels: Sequence[str], values: _Values) -> Metric:
    made = GaugeMetricFamily(f"central_dispatch_{name}", says, labels=labels)
    for label, value in values.items():
        made.add_metric(label, value)
    return made
