"""A dispatcher in a process of its own, as administrators run it: TLS, ASGI, SQLite, an empty home."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """
import os
if os.environ.get("TEST_KINDS"):  # the kinds of the tests' own queue workers beside the product's
    from central_dispatch.jobs import kinds
    from queue_workers.handlers import KINDS
    kinds.KINDS.update(KINDS)
from central_dispatch.portal.serve import first_start, serve
print(first_start().password, flush=True)
serve(port=0, ready=lambda url: print(url, flush=True))
"""


@dataclass(frozen=True)
class Dispatcher:
    """Where it answers, with the first administrator's password and its home."""

    url: str
    password: str
    home: Path

    def run(self, program: str, *arguments: str) -> str:
        """Run Python with the dispatcher's Django, for what has no page (people of other roles)."""
        prepared = f"from central_dispatch.portal.setup import prepare_django\nprepare_django()\n{program}"
        done = subprocess.run(
            [sys.executable, "-c", prepared, *arguments],
            env=environment(self.home),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def add_person(self, name: str, roles: str, password: str) -> None:
        """Make an account."""
        program = (
            "import sys\nfrom central_dispatch.fleet.actor import Role\n"
            "from central_dispatch.portal.accounts.models import User\n"
            "User.objects.create_user(sys.argv[1], roles=Role.named(sys.argv[2].split()), password=sys.argv[3])"
        )
        self.run(program, name, roles, password)


def environment(home: Path, *, test_kinds: bool = False) -> dict[str, str]:
    """Return the environment of a dispatcher's processes."""
    more = {"TEST_KINDS": "1", "PYTHONPATH": str(Path(__file__).parents[1])} if test_kinds else {}
    return {
        **os.environ,
        **more,
        "CENTRAL_DISPATCH_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "central_dispatch.portal.settings",
    }


@contextmanager
def running(home: Path, *, test_kinds: bool = False) -> Iterator[Dispatcher]:
    """Start a dispatcher on a free loopback port; stop it at the end.

    `test_kinds`: it knows the kinds of the tests' queue workers, too.
    """
    with (home / "dispatcher.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            env=environment(home, test_kinds=test_kinds),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            password = process.stdout.readline().strip()
            url = process.stdout.readline().strip()
            assert url, (home / "dispatcher.log").read_text()
            yield Dispatcher(url.replace("127.0.0.1", "localhost"), password, home)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
