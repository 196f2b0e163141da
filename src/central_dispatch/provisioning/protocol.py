"""What dispatcher and host worker say to each other, over HTTPS below `/host/v1/` (docs/reference/host-api.md).

The host always calls. Every message is one of these models as JSON; a host worker one version behind is
served, so fields are only ever added, with a default.
"""

from typing import Any, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from central_dispatch.provisioning.names import Id
from central_dispatch.provisioning.spec import InstanceSpec


class Message(BaseModel):
    """A frozen message; unknown fields of a newer peer are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Facts(Message):
    """What a host worker found on its host. Texts are for people."""

    platform: str = ""  # "Debian GNU/Linux 12 (bookworm)"
    layout: str = ""  # "debian", "redhat", "sandbox", "windows"
    web_server: str = ""  # "Apache 2.4.71, running"
    php: str = ""  # "PHP 8.2.36 (FPM)"
    database_server: str = ""  # "MariaDB 10.11.14"
    free_bytes: int = 0  # at the install path
    total_bytes: int = 0
    separate_users: bool = True  # False: everything runs as one user
    worker_version: str = ""
    problems: tuple[str, ...] = ()  # what `doctor` would say, one line each


class SourceView(Message):
    """A source as the host's administrator registered it. A source with a problem cannot be picked."""

    name: str
    title: str = ""
    runtime: str = "php"
    database: bool = True
    schedule: bool = False
    releases: tuple[str, ...] = ()
    problem: str = ""


class CertificateView(Message):
    """The public part of a certificate."""

    names: tuple[str, ...]
    not_after: str  # ISO 8601, UTC
    fingerprint: str  # SHA-256 of the DER, hex


class SettingsView(Message):
    """The host's own settings, shown in the portal and changed only on the host (DESIGN.md §6.2)."""

    install_path: str = ""
    sources: tuple[SourceView, ...] = ()
    vhost_directory: str = ""
    vhost_template: str = ""
    certificate_directory: str = ""
    default_certificate: CertificateView | None = None
    archive_directory: str = ""
    web_server_user: str = ""
    web_server_test: str = ""
    web_server_reload: str = ""
    web_server_restart: str = ""
    database: str = ""  # "socket /run/mysqld/mysqld.sock as provisioner"
    https_port: int = 443


class Enrol(Message):
    """POST enroll. The token is shown once in the portal and works once."""

    token: str = Field(max_length=200)
    machine_id: str = Field(max_length=64)
    sealing_key: Base64Bytes  # X25519 public key, 32 bytes, to which the portal seals TLS keys
    worker_version: str = Field(max_length=40)


class Enrolled(Message):
    """The answer to `Enrol`. Both sides show `fingerprint` (of the sealing key)."""

    worker: Id
    name: str
    credential: str  # bearer token of this host from now on
    fingerprint: str


class SessionStart(Message):
    """POST session. `last_session` is what the host remembers; less than the dispatcher's: a rewound host."""

    machine_id: str = Field(max_length=64)
    last_session: int = 0
    facts: Facts
    settings: SettingsView


class Session(Message):
    """The answer: a number that is higher at every start. A call with an older one is refused with 409."""

    session: int
    alert: str = ""  # why the host must not start new runs until an administrator has looked; empty: none


class Heartbeat(Message):
    """POST heartbeat, every 10 s and when something changed."""

    session: int
    facts: Facts
    settings: SettingsView
    doing: str = ""  # "deploy acme-press: Database acme_press", for people


class Claim(Message):
    """POST claim: a long poll. `known` are the runs whose journals the host holds and has not reported ended."""

    session: int
    known: tuple[Id, ...] = ()
    wait_s: float = Field(default=25.0, ge=0, le=55)


OrderKind = Literal["plan", "deploy", "delete", "inventory", "clear"]


class Order(Message):
    """One run to carry out. Claimed until the host's first event of it; sent again to a host that lacks it."""

    run: Id
    kind: OrderKind
    spec: InstanceSpec
    requested_by: str = ""
    items: tuple[str, ...] = ()  # for `clear`: the keys of the inventory's items that were confirmed


class Wish(Message):
    """What an administrator wants of a run under way or stuck."""

    run: Id
    verb: Literal["back_out", "retry", "acknowledge"]
    by: str


class Claimed(Message):
    """The answer to `Claim`: at once if there is something, else empty after `wait_s`."""

    orders: tuple[Order, ...] = ()
    wishes: tuple[Wish, ...] = ()


class ChangeView(Message):
    """One change of a step, for the plan's page. `after` is a file's text, with its secrets left out."""

    verb: str
    what: str
    where: str
    after: str = ""


class StepView(Message):
    """A step of a plan, for people."""

    name: str  # "database"
    title: str  # "Database acme_press"
    changes: tuple[ChangeView, ...] = ()


class ProblemView(Message):
    """A problem, as `provisioning.problem.Problem` has it."""

    what: str
    why: str = ""
    mend: str = ""
    field: str = ""


class Item(Message):
    """One thing on a host that bears an instance's name, for back-out without a journal."""

    key: str  # "database"
    what: str  # "Database acme_press, 12 tables"
    whose: Literal["ours", "committed", "foreign"]


class RunEvent(Message):
    """A journal line as reported. (run, sequence) is its key: reporting twice is harmless.

    Kinds are those of `provisioning.journal.Kind`. `begin` carries `steps` and `tail` (each a list of
    `StepView`); a plan, an inventory and a refusal have no journal and report one event at sequence 1:
    `planned` (`steps`, `tail`, `problems`), `found` (`items`), `refused` (`problems`). A refused run is over.
    """

    sequence: int = Field(ge=1)
    at: str
    kind: str = Field(max_length=20)
    step: int = -1
    data: dict[str, Any] = Field(default_factory=dict)


class Report(Message):
    """POST runs/RUN/events, in order, at most 500 at once."""

    session: int
    events: tuple[RunEvent, ...] = Field(max_length=500)


class Reported(Message):
    """The answer: every event up to this sequence is stored."""

    through: int
