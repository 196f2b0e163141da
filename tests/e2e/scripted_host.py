"""A test double of a host worker: speaks the real host API over HTTPS, and reports what a test tells it to.

It carries nothing out. Pages are tested with it; the real host worker is tested with real servers elsewhere.
"""

import json
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from central_dispatch.provisioning.protocol import (
    CertificateView,
    ChangeView,
    Claim,
    Claimed,
    Enrol,
    Enrolled,
    Facts,
    Heartbeat,
    Order,
    Report,
    RunEvent,
    Session,
    SessionStart,
    SettingsView,
    SourceView,
    StepView,
    Wish,
)

FACTS = Facts(
    platform="Debian GNU/Linux 12 (bookworm)",
    layout="debian",
    web_server="Apache 2.4.71, running",
    php="PHP 8.2.36 (FPM)",
    database_server="MariaDB 10.11.14",
    free_bytes=41_200_000_000,
    total_bytes=63_000_000_000,
    worker_version="0.1.0",
)


def settings(domain: str = "localhost") -> SettingsView:
    """Return the settings of a host with three sources, one of which cannot be used."""
    later = (datetime.now(UTC) + timedelta(days=81)).isoformat(timespec="seconds")
    return SettingsView(
        install_path="/var/www",
        sources=(
            SourceView(name="wordpress", title="WordPress", schedule=True, releases=("6.1.9", "6.10.0", "6.2.1")),
            SourceView(name="curator", title="Curator", schedule=True, releases=("2.4.0",)),
            SourceView(name="press-kit", title="Press kit", runtime="static", database=False, releases=("1.0.0",)),
            SourceView(name="old-shop", title="Old shop", releases=(), problem="has no portal.toml"),
        ),
        vhost_directory="/etc/apache2/sites-available",
        vhost_template="shipped: apache-2.4.conf.jinja",
        certificate_directory="/etc/central-dispatch/certificates",
        default_certificate=CertificateView(names=(f"*.{domain}",), not_after=later, fingerprint="ab" * 32),
        archive_directory="/var/backups/central-dispatch",
        web_server_user="www-data",
        web_server_test="apache2ctl -t",
        web_server_reload="systemctl reload apache2",
        web_server_restart="systemctl restart apache2",
        database="socket /run/mysqld/mysqld.sock as provisioner",
    )


_VHOST = """<VirtualHost *:443>
    ServerName {name}.localhost
    DocumentRoot /var/www/{name}/current
    SSLEngine on
    SSLCertificateFile /etc/central-dispatch/default.pem
    <Directory /var/www/{name}/current>
        Require all granted
    </Directory>
</VirtualHost>
"""


def steps(name: str) -> tuple[StepView, ...]:
    """Return a deployment's steps up to the commit."""
    database = name.replace("-", "_")
    root = f"/var/www/{name}"

    def step(key: str, title: str, *changes: tuple[str, str, str] | tuple[str, str, str, str]) -> StepView:
        made = tuple(ChangeView(**dict(zip(("verb", "what", "where", "after"), one, strict=False))) for one in changes)
        return StepView(name=key, title=title, changes=made)

    return (
        step("system_user", f"User cd-{name}", ("create", "Unix user and group", f"cd-{name}")),
        step("web_root", f"Web root {root}", ("create", "directory", root)),
        step("database", f"Database {database}", ("create", "database", database)),
        step(
            "database_user", f"Database user {database}", ("create", f"user with rights on {database} alone", database)
        ),
        step("code", "Code wordpress 6.10.0", ("copy", "release, 2,545 files, 58 MB", f"{root}/releases/6.10.0")),
        step(
            "config",
            "Configuration wp-config.php",
            ("write", "file, mode 0640", f"{root}/shared/wp-config.php", f"<?php\ndefine('DB_NAME', '{database}');\n"),
        ),
        step("install", "Install command", ("run", f"php install.php as cd-{name}", root)),
        step(
            "vhost",
            f"Virtual host {name}.localhost",
            ("write", "file", f"/etc/apache2/sites-available/{name}.conf", _VHOST.format(name=name)),
            ("create", "link", f"/etc/apache2/sites-enabled/{name}.conf"),
        ),
        step("reload", "Web server reload", ("reload", "Apache, after a check in a shadow tree", "")),
        step("health", "Health check", ("check", "answers through its own hostname", f"https://{name}.localhost/")),
    )


def tail(name: str) -> tuple[StepView, ...]:
    """Return what follows the commit."""
    change = ChangeView(verb="write", what=f"crontab line of cd-{name}", where="* * * * *")
    return (StepView(name="scheduled_task", title="Scheduled task", changes=(change,)),)


@dataclass
class ScriptedRun:
    """One run as this host reports it: each call sends one journal line."""

    host: "ScriptedHost"
    order: Order
    sequence: int = 0
    lines: list[RunEvent] = field(default_factory=list)

    def say(self, kind: str, step: int = -1, **data: Any) -> None:
        """Report one line."""
        self.sequence += 1
        at = datetime.now(UTC).isoformat()
        event = RunEvent(sequence=self.sequence, at=at, kind=kind, step=step, data=data)
        self.host.call(f"runs/{self.order.run}/events", Report(session=self.host.session, events=(event,)))
        if kind in {"end", "planned", "found", "refused"}:
            self.host.known.remove(self.order.run)

    def _views(self) -> dict[str, Any]:
        name = self.order.spec.name
        return {
            "steps": [one.model_dump() for one in steps(name)],
            "tail": [one.model_dump() for one in tail(name)],
        }

    def plan(self, *problems: dict[str, str]) -> None:
        """Answer a plan."""
        self.say("planned", problems=list(problems), **self._views())

    def begin(self) -> None:
        """Begin a deployment or deletion."""
        self.say("begin", **self._views())

    def step(self, index: int, *output: str) -> None:
        """Do one step."""
        self.say("intent", index)
        for line in output:
            self.say("output", index, line=line)
        self.say("done", index)

    def commit(self) -> None:
        """Commit, carry the tail forward, end."""
        self.say("commit")
        self.say("tail_intent", 0)
        self.say("tail_done", 0)
        self.say("end", ending="committed")

    def undo(self, index: int) -> None:
        """Undo one step."""
        self.say("undo", index)
        self.say("undone", index)


class ScriptedHost:
    """A host that does what the test says."""

    def __init__(self, url: str, machine_id: str = "0123456789abcdef0123456789abcdef") -> None:
        self._url = url
        self.machine_id = machine_id
        self.key = X25519PrivateKey.generate()
        self.credential = ""
        self.session = 0
        self.known: list[str] = []  # runs that have not ended, as a real host knows them by their journals
        self._context = ssl.create_default_context()
        # The pin is the real host worker's to check; this double talks to the dispatcher that its test started.
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def call(self, path: str, message: Any) -> dict[str, Any]:
        """Post a message of the protocol."""
        request = urllib.request.Request(  # noqa: S310 the scheme is the test's https
            f"{self._url}/host/v1/{path}",
            data=message.model_dump_json().encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.credential}"},
        )
        with urllib.request.urlopen(request, context=self._context, timeout=70) as answer:  # noqa: S310 likewise
            return json.load(answer)

    def enrol(self, token: str) -> Enrolled:
        """Trade the token for a credential."""
        key = self.key.public_key().public_bytes_raw()
        message = Enrol.model_construct(
            token=token, machine_id=self.machine_id, sealing_key=key, worker_version="0.1.0"
        )
        answer = Enrolled.model_validate(self.call("enroll", message))
        self.credential = answer.credential
        return answer

    def start(self, facts: Facts = FACTS) -> Session:
        """Start a session."""
        message = SessionStart(machine_id=self.machine_id, last_session=self.session, facts=facts, settings=settings())
        answer = Session.model_validate(self.call("session", message))
        self.session = answer.session
        return answer

    def beat(self, doing: str = "") -> None:
        """Send a heartbeat."""
        self.call("heartbeat", Heartbeat(session=self.session, facts=FACTS, settings=settings(), doing=doing))

    def claim(self, wait_s: float = 20.0) -> Claimed:
        """Wait for orders and wishes."""
        return Claimed.model_validate(
            self.call("claim", Claim(session=self.session, wait_s=wait_s, known=self.known[-100:]))
        )

    def take(self, kind: str) -> ScriptedRun:
        """Wait for an order of a kind; a plan that comes first is answered."""
        for _ in range(20):
            for order in self.claim().orders:
                run = ScriptedRun(self, order)
                self.known.append(order.run)
                if order.kind == kind:
                    return run
                if order.kind == "plan":
                    run.plan()
        raise AssertionError(f"no {kind} was ordered")

    def wish(self, run: ScriptedRun, wait_s: float = 20.0) -> Wish:
        """Wait for what an administrator wants of a run."""
        for _ in range(20):
            for wish in self.claim(wait_s).wishes:
                if wish.run == run.order.run:
                    return wish
        raise AssertionError("no wish came")


@contextmanager
def beating(host: ScriptedHost) -> Iterator[None]:
    """Keep a host online while a test takes its time."""
    stop = Event()

    def beat() -> None:
        while not stop.wait(5):
            host.beat()

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
