"""A real dispatcher in a process of its own, over TLS, and a scripted host that calls it."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from central_dispatch.provisioning.protocol import Enrolled
from central_dispatch.provisioning.trust import EnrolmentToken, certificate_pin
from dispatchers.fleet import FACTS, MACHINE, settings_view

_PROGRAM = """
import json, sys
from central_dispatch.portal.serve import first_start, serve

started = first_start()
shown = {"password": started.password, "pin": started.pin}
sys.exit(serve(port=0, ready=lambda url: print(json.dumps({**shown, "url": url}), flush=True)))
"""


@dataclass
class Reply:
    """What the server answered."""

    status: int
    body: Any
    headers: dict[str, str]


def _lowered(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


@dataclass
class Dispatcher:
    """A running dispatcher."""

    home: Path
    port: int
    pin: str
    password: str = field(repr=False)
    process: "subprocess.Popen[str]" = field(repr=False)

    def connect(self, timeout_s: float = 30) -> http.client.HTTPSConnection:
        """Return a connection whose certificate fits the pin, as a host checks it."""
        context = ssl.create_default_context(cadata=self.certificate())
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=timeout_s)
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        der = connection.sock.getpeercert(binary_form=True)
        assert der is not None
        assert certificate_pin(der) == self.pin
        return connection

    def certificate(self) -> str:
        """Return the self-made certificate, which a person would accept by hand."""
        return (self.home / "dispatcher" / "tls" / "certificate.pem").read_text()

    def ask(
        self, method: str, path: str, value: object = None, *, bearer: str = "", headers: dict[str, str] | None = None
    ) -> Reply:
        """Send one request, a value as JSON or a text as a form."""
        lines = {"Content-Type": "application/json", **(headers or {})}
        if bearer:
            lines["Authorization"] = f"Bearer {bearer}"
        body = value if isinstance(value, str) or value is None else json.dumps(value)
        connection = self.connect()
        try:
            connection.request(method, path, body, lines)
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        is_json = "json" in answer.headers.get("Content-Type", "")
        return Reply(answer.status, json.loads(raw) if is_json else raw.decode(), _lowered(answer))

    def stop(self) -> int:
        """Tell it to stop, as a service's supervisor does; return its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@dataclass
class Browser:
    """A person's browser: it keeps cookies and sends the CSRF token."""

    dispatcher: Dispatcher
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, value: object = None, headers: dict[str, str] | None = None) -> Reply:
        """Send one request with the cookies."""
        lines = {"Cookie": self.cookie(), "Referer": f"https://localhost:{self.dispatcher.port}/", **(headers or {})}
        connection = self.dispatcher.connect()
        try:
            body = value if isinstance(value, str) or value is None else json.dumps(value)
            connection.request(method, path, body, {"Content-Type": "application/json", **lines})
            answer = connection.getresponse()
            raw = answer.read().decode()
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return Reply(answer.status, raw, _lowered(answer))

    def cookie(self) -> str:
        """Return the Cookie header."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def csrf(self) -> str:
        """Return the CSRF token of the cookie."""
        return next((value for name, value in self.cookies.items() if "csrf" in name), "")

    def log_in(self, password: str, username: str = "admin") -> Reply:
        """Log in by the login page's form."""
        self.ask("GET", "/login/")
        fields = {"username": username, "password": password, "csrfmiddlewaretoken": self.csrf()}
        return self.ask("POST", "/login/", urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})

    def api(self, method: str, path: str, value: object = None) -> Reply:
        """Call the API with the session and the CSRF token."""
        reply = self.ask(method, "/api/v1/" + path, value, {"X-CSRFToken": self.csrf()})
        return Reply(reply.status, json.loads(reply.body), reply.headers)


@dataclass
class Host:
    """A scripted host worker: it enrols, starts a session, claims and reports as told."""

    dispatcher: Dispatcher
    worker: str = ""
    credential: str = field(default="", repr=False)
    session: int = 0

    def enrol(self, token: str) -> None:
        """Trade the token for a credential, after a look at the pin that it carries."""
        parsed = EnrolmentToken.from_text(token)
        assert parsed is not None
        assert parsed.pin == self.dispatcher.pin
        key = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="  # 32 bytes
        message = {"token": token, "machine_id": MACHINE, "sealing_key": key, "worker_version": "0.1"}
        reply = self.dispatcher.ask("POST", "/host/v1/enroll", message)
        assert reply.status == 200, reply
        enrolled = Enrolled.model_validate(reply.body)
        self.worker, self.credential = enrolled.worker, enrolled.credential

    def call(self, path: str, **message: object) -> Reply:
        """Call the host API in the present session."""
        return self.dispatcher.ask(
            "POST", f"/host/v1/{path}", {"session": self.session, **message}, bearer=self.credential
        )

    def start(self) -> Reply:
        """Start a session."""
        about = {"facts": FACTS.model_dump(mode="json"), "settings": settings_view().model_dump(mode="json")}
        reply = self.call("session", machine_id=MACHINE, last_session=self.session, **about)
        assert reply.status == 200, reply
        self.session = reply.body["session"]
        return reply

    def claim(self, wait_s: float = 0, known: tuple[str, ...] = ()) -> Reply:
        """Ask what there is to do."""
        return self.call("claim", wait_s=wait_s, known=known)

    def report(self, run: str, events: object) -> Reply:
        """Report events of a run."""
        return self.call(f"runs/{run}/events", events=events)


@contextmanager
def running(home: Path) -> Iterator[Dispatcher]:
    """Start a dispatcher on a free port with a home of its own; stop it at the end."""
    environment = {**os.environ, "CENTRAL_DISPATCH_HOME": str(home)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            shown = json.loads(process.stdout.readline())
            port = int(shown["url"].rpartition(":")[2])
            yield Dispatcher(home, port, shown["pin"], shown["password"] or "", process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
