"""The same jobs through this engine, Celery, Dramatiq, Huey and bare AMQP, in one run, ten at a time each.

A job counts itself in a file; the other kind sleeps 10 ms before. All systems are started and warm; they take turns,
round by round, so that whatever else the machine does weighs on all. Time runs from before the first enqueue, with the
worker running, until the last job has run; ours has to be settled in SQL, with its history, by then. Jobs are enqueued
by one process, each system's fastest way: ours in transactions of 300 with a bell each (`…_singly`: one by one, each
synced to the disk and rung), Celery, Dramatiq and Huey one by one, as they have no other; bare AMQP with 100 confirms
outstanding. Celery's results, where it keeps them, go to PostgreSQL, which syncs each commit as our SQLite does; Huey
looks every 5 ms. How many jobs a round has depends on the system: all work about as long.

    bench/jobs [--quick] [--rounds N] [--round-s S] [--only SYSTEM]… [--out FILE]

The last line is JSON: jobs per second of each system (medians), the same with `_10ms`; `…_enqueue_ms`, one enqueue on
its own (median; `service_enqueue_ms`: in a service of the portal, with Django's transaction; `disk_sync_ms`: a bare
synced write at that time); and how many times as fast ours is as each peer, pair by pair within a round.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import quote

from job_systems import SLOTS, System, amqp_limit, celery, dramatiq, huey, ours, service_enqueue_ms

from queue_workers.rig import Rig
from servers.job_databases import NAME, PASSWORD, started
from servers.places import passable_directory
from servers.rabbitmq import Node

KINDS = ("no-op", "10ms")
_WARM = 100
_SINGLES = 100


def results_database(stack: ExitStack, place: Path) -> str:
    """Start a PostgreSQL that syncs its commits, for Celery's results; returns Celery's address of it."""
    server = started("postgresql", place, durable=True)
    stack.callback(server.stop)
    server.make_database("results")
    return f"db+postgresql+psycopg://{NAME}:{quote(PASSWORD)}@127.0.0.1:{server.port}/results"


@contextmanager
def systems(place: Path, only: list[str] | None) -> Iterator[list[System]]:
    """Start RabbitMQ and all systems; end them."""
    with ExitStack() as stack:
        passable = stack.enter_context(passable_directory())
        node = stack.enter_context(Node(passable / "rabbitmq"))
        amqp = f"amqp://{node.user}:{node.password}@127.0.0.1:{node.port}/%2F"
        made: dict[str, Callable[[Path], System]] = {
            "embedded": lambda directory: ours("embedded", Rig(directory)),
            "rabbitmq": lambda directory: ours("rabbitmq", Rig(directory, broker_name="rabbitmq", node=node)),
            "celery": lambda directory: celery(directory, amqp),
            "celery_sql": lambda directory: celery(directory, amqp, results_database(stack, passable)),
            "dramatiq": lambda directory: dramatiq(directory, amqp),
            "huey": huey,
            "amqp_limit": lambda directory: amqp_limit(directory, amqp),
        }
        running = []
        for name in only or made:
            directory = place / name
            directory.mkdir()
            system = made[name](directory)
            system.launch()
            stack.callback(system.stop)
            running.append(system)
        for system in running:
            system.warm()
        yield running


def measure(started: list[System], rounds: int, round_s: float) -> dict[str, list[float]]:
    """Return rates by system and kind. The number of jobs comes from a first burst, which does not count."""
    found: dict[str, list[float]] = {}
    counts = {
        (system.name, kind): max(_WARM, int(system.rate(kind, _WARM) * round_s)) for system in started for kind in KINDS
    }
    for number in range(rounds):
        for kind in KINDS:
            # Another one first each time.
            for system in started[number % len(started) :] + started[: number % len(started)]:
                name = system.name + ("_10ms" if kind == "10ms" else "")
                found.setdefault(name, []).append(system.rate(kind, counts[system.name, kind]))
                if system.name in {"embedded", "rabbitmq"} and kind == "no-op":
                    singly = system.rate(kind, counts[system.name, kind] // 4, "each")
                    found.setdefault(f"{system.name}_singly", []).append(singly)
        print({name: round(rates[-1]) for name, rates in found.items()}, flush=True)
    for system in started:
        found[f"{system.name}_enqueue_ms"] = [system.enqueue_ms(_SINGLES)]
    return found


def disk_sync_ms(place: Path, count: int) -> float:
    """Return what one synced write takes here and now, the least that an enqueue can take: the median."""
    found = []
    with (place / "synced").open("wb", buffering=0) as file:
        for _ in range(count):
            time.sleep(0.005)
            begun = time.perf_counter()
            file.write(b"x" * 8192)
            os.fdatasync(file.fileno())
            found.append(time.perf_counter() - begun)
    return median(found) * 1000


def ratios(found: dict[str, list[float]]) -> dict[str, float]:
    """Return how many times as fast ours is, pair by pair within a round, for the peer that stands on the same."""
    pairs = [("embedded", "huey"), ("rabbitmq", "celery"), ("rabbitmq", "celery_sql"), ("rabbitmq", "dramatiq")]
    pairs += [("rabbitmq", "amqp_limit"), ("embedded", "celery")]
    result = {}
    for mine, peer in pairs:
        for kind in ("", "_10ms"):
            if mine + kind in found and peer + kind in found:
                both = zip(found[mine + kind], found[peer + kind], strict=True)
                result[f"{mine}_over_{peer}{kind}"] = round(median(a / b for a, b in both), 2)
    return result


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.4 s for each system and kind")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--round-s", type=float, default=2.0, help="about how long each system works in a round")
    parser.add_argument("--only", action="append", help="a system; may be given several times")
    parser.add_argument("--out", type=Path, help="also write every rate to this file")
    given = parser.parse_args()
    rounds, round_s = (2, 0.4) if given.quick else (given.rounds, given.round_s)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="cd-jobs-") as place, systems(Path(place), given.only) as started:
        found = measure(started, rounds, round_s)
        found["disk_sync_ms"] = [disk_sync_ms(Path(place), _SINGLES)]
        found["service_enqueue_ms"] = [service_enqueue_ms(Path(place) / "home", _SINGLES)]
    figures = {name: round(median(rates), 2 if name.endswith("_ms") else None) for name, rates in found.items()}
    figures = {**figures, **ratios(found), "slots": SLOTS, "rounds": rounds, "load_before": round(load, 2)}
    if given.out:
        given.out.write_text(json.dumps({**figures, "rates": found}, indent=1) + "\n")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
