"""The portal with 1,000,000 jobs and 500 instances: each list, filter and search, and 200 pages open at once.

Pages are timed in a process of the portal (Django's own test client, no network): the whole of a request on the
server, with nothing kept from one to the next. Each asks for something else every time; the figure is the p95 of the
worst page. Then a dispatcher of its own keeps 200 live pages while jobs are made and settled without a pause: what it
takes of a core is its process's own time.

    bench/portal [--quick] [--rows N] [--rounds N] [--out FILE]

The last line is JSON: rows, rounds, load_before, sqlite_p95_ms, sqlite_worst, postgresql_p95_ms, postgresql_worst,
counters_s, live_pages, live_pages_core, live_fetched_per_s (parts of pages), live_p95_ms (of such a part). It fails
where a page's p95 is beyond 150 ms, that of a live part beyond 1 s, or live pages take a whole core.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.outcome import Done
from central_dispatch.jobs.ports import Parent, Settled
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.settling import settle
from central_dispatch.stores.places import open_store
from queue_workers.rig import write_configuration
from servers.job_databases import shared_server

LIVE_PAGES = 200
AIM_MS = 150.0
LIVE_AIM_MS = 1000.0
_FILL = """
import sys
from central_dispatch.portal.first_start import first_start
first_start()
from portal_data import fill
fill(int(sys.argv[1]))
"""
_SESSIONS = """
from central_dispatch.portal.setup import prepare_django
prepare_django()
from django.test import Client
from central_dispatch.fleet.actor import Role
from central_dispatch.portal.accounts.models import User
for number in range(5):
    user = User(username=f"person-{number}")
    user.roles = Role.ADMINISTRATOR
    user.set_unusable_password()
    user.save()
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    print(client.session.session_key)
"""
_SERVE = """
from central_dispatch.portal.serve import first_start, serve
first_start()
serve(port=0, ready=lambda url: print(url, flush=True))
"""


def run(home: Path, *arguments: str) -> str:
    """Run Python with this home; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], env=environment(home), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def environment(home: Path) -> dict[str, str]:
    """Return what our processes are to know."""
    return {
        **os.environ,
        "CENTRAL_DISPATCH_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "central_dispatch.portal.settings",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1] / "tests")]),
    }


@contextmanager
def filled(engine: str, rows: int) -> Iterator[Path]:
    """Make a home on this database and fill it."""
    with tempfile.TemporaryDirectory(prefix="bench-portal-") as place:
        home = Path(place)
        if engine != "sqlite":
            name = f"portal_{secrets.token_hex(4)}"
            shared_server(engine).make_database(name)
            write_configuration(home, shared_server(engine).toml(name))
        began = time.monotonic()
        run(home, "-c", _FILL, str(rows))
        print(f"{engine}: {rows:,} jobs and 500 instances made in {time.monotonic() - began:.0f} s", flush=True)
        yield home


def pages_of(home: Path, engine: str, rounds: int) -> dict[str, Any]:
    """Time the pages; say the slowest ones."""
    found: dict[str, Any] = json.loads(run(home, str(HERE / "portal_pages.py"), str(rounds)).splitlines()[-1])
    worst = sorted(found["pages"].items(), key=lambda item: -item[1][0])
    for name, (p95, longest) in worst[:6]:
        print(f"{engine}: {name}: p95 {p95} ms, longest {longest} ms", flush=True)
    return {f"{engine}_p95_ms": worst[0][1][0], f"{engine}_worst": worst[0][0], "counters_s": found["counters_s"]}


class Work:
    """Makes and settles jobs without a pause, some each time, as queue workers do."""

    def __init__(self, home: Path) -> None:
        self._store = open_store(home)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.settled = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._store.close()

    def _run(self) -> None:
        parent = Parent("e" * 32, "bench", os.getpid(), ("ftp",), 10)
        self._store.register(parent, datetime.now(UTC))
        while not self._over.wait(0.1):
            now = datetime.now(UTC)
            self._store.beat(parent.id)
            self._store.enqueue([NewJob(kind="ftp", payload={"record": 1}, priority=9) for _ in range(5)], now)
            claims = self._store.claim("ftp", parent.id, 5, now)
            done = [
                Settled(claim, settle(claim, Done(), QueueSettings(), now, 0.5), 1, now, now, "done")
                for claim in claims
            ]
            self._store.settle(done)
            self.settled += len(done)


def live_pages(home: Path, seconds: float) -> dict[str, float]:
    """Return how much of a core the dispatcher takes for 200 open pages, and how soon it serves their parts."""
    sessions = run(home, "-c", _SESSIONS).split()
    server = subprocess.Popen([sys.executable, "-c", _SERVE], env=environment(home), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = next(line.strip() for line in server.stdout if line.startswith("https://"))
        command = [sys.executable, str(HERE / "portal_live.py"), url, str(LIVE_PAGES), str(seconds), *sessions]
        with Work(home) as work, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as browsers:
            assert browsers.stdout
            assert browsers.stdout.readline().strip() == "open"
            began, before, settled = time.monotonic(), cpu_s(server.pid), work.settled
            said = json.loads(browsers.stdout.readline())
            took, used = time.monotonic() - began, cpu_s(server.pid) - before
            print(
                f"{LIVE_PAGES} live pages, {took:.0f} s, {(work.settled - settled) / took:.0f} jobs settled a second: "
                f"{said['fetched'] / took:.0f} parts fetched a second, p95 {said['p95_ms']} ms; "
                f"{used / took:.2f} of a core",
                flush=True,
            )
            return {
                "live_pages": LIVE_PAGES,
                "live_pages_core": round(used / took, 2),
                "live_fetched_per_s": round(said["fetched"] / took, 1),
                "live_p95_ms": said["p95_ms"],
            }
    finally:
        server.terminate()
        server.wait(30)


def cpu_s(pid: int) -> float:
    """Return how long a process, all its threads, has computed so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, and say it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows, SQLite alone, within 50 s")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = given.rows or (100_000 if given.quick else 1_000_000)
    rounds = given.rounds or (5 if given.quick else 20)
    result: dict[str, Any] = {"rows": rows, "rounds": rounds, "load_before": round(os.getloadavg()[0], 2)}
    with filled("sqlite", rows) as home:
        result |= pages_of(home, "sqlite", rounds)
        result |= live_pages(home, 8 if given.quick else 20)
    if not given.quick:
        with filled("postgresql", rows) as home:
            result |= pages_of(home, "postgresql", rounds) | {"counters_s": result["counters_s"]}
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    slowest = max(result["sqlite_p95_ms"], result.get("postgresql_p95_ms", 0))
    reached = slowest <= AIM_MS and result["live_p95_ms"] <= LIVE_AIM_MS and result["live_pages_core"] < 1
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
