"""The demo: everything on this machine, an instance of the sample portal deployed. `--check` does it without a person.

Only what a user has is used: the command `central-dispatch`, HTTPS, the portal's pages.
"""

import argparse
import contextlib
import http.client
import http.cookiejar
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "central_dispatch"]
READY_S = 180


class DemoFailed(Exception):
    """A part of the demo did not do what it should."""


class Up:
    """`central-dispatch up` as a child; `events` holds what it announced."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.events: dict[str, dict[str, Any]] = {}
        self._ready = threading.Event()
        self.process = subprocess.Popen(
            [*COMMAND, "--home", str(home), "up", "--port", str(port), "--json"],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is ours: it is stopped in order
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout  # noqa: S101 it is a pipe
        for line in self.process.stdout:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                event = json.loads(line)
                self.events[event["event"]] = event
                if event["event"] == "process":
                    print(f"  {event['text']}", file=sys.stderr)
        self._ready.set()

    def wait_ready(self) -> dict[str, Any]:
        """Return the address and ports, once everything runs."""
        for _ in range(READY_S * 10):
            if "ready" in self.events:
                return self.events["ready"]
            if self._ready.wait(0.1):
                break
        raise DemoFailed("central-dispatch up did not become ready; its messages are above")

    def call(self, *arguments: str) -> Any:  # noqa: ANN401 what the command prints
        """Run a command of ours and return its JSON."""
        done = subprocess.run(
            [*COMMAND, "--home", str(self.home), *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=False
        )
        value = json.loads(done.stdout) if done.stdout.strip() else {}
        if done.returncode:
            said = [str(problem) for problem in problems_in(value)] or [done.stdout]
            raise DemoFailed(f"central-dispatch {' '.join(arguments)} ended with {done.returncode}: {'; '.join(said)}")
        return value

    def stop(self) -> int:
        """Stop everything and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=240)


def problems_in(value: dict[str, Any]) -> list[str]:
    """Return the problems of an error or of a run, in words."""
    found = value.get("error", {}).get("problems", []) + value.get("problems", []) + [value.get("problem")]
    return [" ".join(filter(None, (one["field"], one["what"], one["why"], one["mend"]))) for one in found if one]


def fetch(hostname: str, port: int, path: str, authority: str) -> tuple[int, str]:
    """Ask over HTTPS as a browser would: by name, verified against the sandbox's own authority."""
    context = ssl.create_default_context(cafile=authority)
    connection = http.client.HTTPConnection(hostname, port, timeout=20)
    # Connected by hand: not every resolver knows that names below .localhost are this machine.
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sock = context.wrap_socket(plain, server_hostname=hostname)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")


def sign_in(url: str, password: str, certificate: Path) -> str:
    """Log in to the portal through its own page, verified against its certificate, and return the first page."""
    context = ssl.create_default_context(cafile=str(certificate))
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    browser = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), jar)
    with browser.open(f"{url}/", timeout=20) as answer:
        address, page = answer.url, answer.read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    if token is None:
        raise DemoFailed(f"{address} shows no login form")
    form = {"csrfmiddlewaretoken": token[1], "username": "admin", "password": password}
    request = urllib.request.Request(address, urllib.parse.urlencode(form).encode(), {"Referer": address})  # noqa: S310 https
    with browser.open(request, timeout=20) as answer:
        page = str(answer.read().decode())
    if 'name="password"' in page:
        raise DemoFailed("the portal refused the administrator's password")
    return page


def deploy(up: Up, name: str) -> str:
    """Create and deploy an instance of the sample portal, unless it is there; return its address."""
    known = [one for one in up.call("instance", "list") if one["name"] == name]
    if not known:
        options = ["--worker", "localhost", "--source", "sample", "--release", "1.0.0"]
        up.call("instance", "create", name, *options, "--admin-email", "admin@example.com")
    if not known or known[0]["state"] != "active":
        up.call("instance", "deploy", name)
    return str(up.call("instance", "show", name)["url"])


def check(up: Up, ready: dict[str, Any], name: str) -> Iterator[str]:
    """Do the whole demo and yield what was seen; raise `DemoFailed` at the first thing that is not so."""
    yield f"the dispatcher, a host worker and the sandbox run (home {up.home})"
    worker = up.call("worker", "show", "localhost")
    expect(worker["online"], "the worker localhost is not online")
    yield f"the worker localhost is online: {worker['platform']}, {worker['facts']['web_server']}"
    url = deploy(up, name)
    hostname = urllib.parse.urlsplit(url).hostname or ""
    yield f"instance {name} is deployed: {url}"
    status, body = fetch(hostname, ready["https_port"], "/healthz", ready["certificate_authority"])
    expect(status == 200 and json.loads(body)["instance"] == name, f"/healthz answered {status}: {body[:200]}")  # noqa: PLR2004 HTTP
    yield f"GET {url}healthz → 200, verified against the sandbox's authority: {body.strip()}"
    status, body = fetch(hostname, ready["https_port"], "/", ready["certificate_authority"])
    expect(status == 200 and "Sales by region" in body, f"the front page answered {status}")  # noqa: PLR2004 HTTP
    yield f"GET {url} → 200 with the table that its install script made"
    page = sign_in(ready["url"], up.events["administrator"]["password"], up.home / "dispatcher/tls/certificate.pem")
    yield "the administrator has logged in to the portal"
    expect(name in page or name in str(up.call("run", "list")), f"the portal does not know {name}")
    gone = up.call("instance", "delete", name, "--confirm", name)
    yield f"the instance is deleted again ({gone['state']}, its dump and files archived)"


def expect(is_so: object, otherwise: str) -> None:
    """Go on only if it is so."""
    if not is_so:
        raise DemoFailed(otherwise)


def run_check(home: Path | None, port: int) -> int:
    """Do the demo without a person, in a place of its own that is removed afterwards."""
    place = home or Path(tempfile.mkdtemp(prefix="cd-demo-"))
    place.chmod(0o711)  # the instances' own users pass through
    up, name = Up(place, port), f"demo-{secrets.token_hex(2)}"
    code = 1
    try:
        for seen in check(up, up.wait_ready(), name):
            print(f"✓ {seen}", flush=True)
        code = 0
    except (DemoFailed, OSError, ValueError, KeyboardInterrupt) as error:
        print(f"✗ {error or 'interrupted'}", file=sys.stderr)
        with contextlib.suppress(DemoFailed, ValueError):
            up.call("instance", "delete", name, "--confirm", name)
    finally:
        stopped = up.stop()
    print(f"{'✓' if stopped == 0 else '✗'} everything is stopped (exit code {stopped})")
    if code == 0 and stopped == 0 and home is None:
        shutil.rmtree(place)
    elif code:
        print(f"What it left is in {place}.", file=sys.stderr)
    return code or stopped


def run_demo(home: Path, port: int) -> int:
    """Bring everything up with one instance, and stay until Ctrl-C."""
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    up = Up(home, port)
    try:
        ready = up.wait_ready()
        url = deploy(up, "hello")
        password = up.events.get("administrator", {}).get("password")
        print(f"\nThe portal:   {ready['url']}   user admin, password {password or 'as shown at the first start'}")
        print(f"The instance: {url}   (its certificate's authority: {ready['certificate_authority']})")
        print("Ctrl-C stops everything.", flush=True)
        up.process.wait()
    except KeyboardInterrupt:
        print("\nStopping …")
    except DemoFailed as error:
        print(error, file=sys.stderr)
        up.stop()
        return 1
    return up.stop()


def free_port() -> int:
    """Return a port that is free on the loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description="Central Dispatch with one instance, on this machine.", prog="bin/demo"
    )
    parser.add_argument("--check", action="store_true", help="without a person: verify, stop, exit 0")
    parser.add_argument("--home", type=Path, help="where it keeps everything; default: .demo here")
    parser.add_argument("--port", type=int, help="the portal's port; default 8700, with --check a free one")
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    os.umask(0o022)
    home = given.home.absolute() if given.home else None
    if given.check:
        return run_check(home, given.port or free_port())
    return run_demo(home or ROOT / ".demo", given.port or 8700)


if __name__ == "__main__":
    sys.exit(main())
