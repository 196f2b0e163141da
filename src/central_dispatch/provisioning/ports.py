"""What a step may ask of a host. One small protocol per part; `platforms` has the adapters.

Every method may raise `HostError`; those of a server that is down raise `Unavailable`. Paths are absolute
strings in the host's own form. No adapter follows a symbolic link below a path's last root-owned parent,
hands anything to a shell, or puts a secret in an argument list.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from central_dispatch.provisioning.problem import Problem


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns a file: names of a user and a group. A host without separate users ignores it."""

    user: str
    group: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What `lstat` says of a path. `mode` holds the permission bits, `target` a link's target."""

    kind: Literal["file", "directory", "link", "other"]
    owner: str
    group: str
    mode: int
    size: int
    changed_ns: int
    target: str = ""


class Files(Protocol):
    """The host's file systems."""

    def find(self, path: str) -> Entry | None:
        """Return what lies at `path`, a link itself and not what it points to; None where nothing does."""

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; empty where there is no directory."""

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """Return a regular file's content; refuses links and more than `limit` bytes."""

    def create_file(self, path: str, content: bytes, owner: Owner, mode: int) -> None:
        """Create a file exclusively with its final owner and mode, durable on return; `Occupied` if it exists."""

    def create_directory(self, path: str, owner: Owner, mode: int) -> None:
        """Create one directory exclusively with its final owner and mode; `Occupied` if anything is there."""

    def create_link(self, path: str, target: str) -> None:
        """Create a symbolic link exclusively."""

    def copy_tree(self, source: str, target: str, owner: Owner, excluded: Sequence[str] = ()) -> None:
        """Copy a directory to a new `target`: links stay links, group loses write, others lose all.

        `excluded` are relative paths that are left out.
        """

    def move_new(self, source: str, target: str) -> None:
        """Rename within one file system; `Occupied` if `target` exists, atomically. Durable on return."""

    def replace(self, source: str, target: str) -> None:
        """Rename over `target`, which the caller knows to be ours. Durable on return."""

    def remove(self, path: str) -> None:
        """Remove a file, a link or a whole directory without following links; nothing there is no error."""

    def free_bytes(self, path: str) -> int:
        """Return what is free for an unprivileged user on the file system of `path` (or its nearest parent)."""

    def tree_size(self, path: str) -> int:
        """Return the bytes that the regular files of a tree take on disk."""

    def archive(self, source: str, target: str, as_user: str) -> None:
        """Write a gzipped tar of a directory to the new file `target` (0600), durable on return.

        The archiving program runs as the instance's own Unix user and reads nothing that the user may not.
        """

    def checksum(self, path: str) -> str:
        """Return the SHA-256 of a regular file's content, in hex."""

    def sync(self, path: str) -> None:
        """Make everything on the file system of `path` durable."""


@dataclass(frozen=True, slots=True)
class User:
    """A Unix account of an instance, with its own group of the same name and the same number."""

    name: str
    uid: int
    gid: int
    comment: str
    home: str


class Accounts(Protocol):
    """The host's users and groups."""

    separate: bool
    """Whether an instance can have a user of its own; False where the host worker is not root."""

    def find(self, name: str) -> User | None:
        """Return the user of that name."""

    def find_group(self, name: str) -> tuple[int, tuple[str, ...]] | None:
        """Return number and members of the group of that name."""

    def next_id(self) -> int:
        """Return a number that no user or group has, and that was never handed out before on this host."""

    def create(self, user: User) -> None:
        """Create group and user, without password, shell or home directory; `Occupied` if the name is taken."""

    def join(self, user: str, group: str) -> None:
        """Make `user` (the web server's) a member of `group`. Idempotent."""

    def describe(self, name: str, comment: str) -> None:
        """Change a user's comment (GECOS)."""

    def end_processes(self, name: str) -> None:
        """End every process of that user, by force after a grace period; returns when none is left."""

    def delete(self, name: str) -> None:
        """Delete user and group of that name. Idempotent, also where only one of the two is left."""


@dataclass(frozen=True, slots=True)
class DatabaseFound:
    """A database as the server describes it."""

    comment: str
    tables: int


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where an instance reaches its database: a local socket, or a host and a port."""

    socket: str = ""
    host: str = "localhost"
    port: int = 3306


class Databases(Protocol):
    """The database server, through the host's own provisioning account."""

    address: DatabaseAddress

    def version(self) -> str:
        """Return the server's name and version; raises `Unavailable` when it is down."""

    def find(self, name: str) -> DatabaseFound | None:
        """Return what is known of a database."""

    def create(self, name: str, comment: str) -> None:
        """Create a database (utf8mb4) with its comment, in one statement; `Occupied` if it exists."""

    def describe(self, name: str, comment: str) -> None:
        """Change a database's comment."""

    def drop(self, name: str) -> None:
        """Drop a database. Idempotent."""

    def user_exists(self, user: str) -> bool:
        """Say whether any account of that user name exists, from whichever host."""

    def create_user(self, user: str, password: str) -> None:
        """Create the account from which an instance connects, without a right; `Occupied` if it exists."""

    def opens(self, user: str, password: str) -> bool:
        """Say whether that password opens that account."""

    def grant(self, user: str, database: str) -> None:
        """Grant all rights on that database alone (`_` and `%` escaped), without the right to grant."""

    def grants(self, user: str) -> list[str]:
        """Return the account's grants as the server prints them."""

    def drop_user(self, user: str) -> None:
        """Drop the account and end its connections. Idempotent."""

    def dump(self, database: str, user: str, password: str, *, as_user: str, target: str) -> None:
        """Write a dump to the new file `target` (0600, the host worker's own), durable on return.

        The dumping program runs as the instance's own database and Unix user.
        """


@dataclass(frozen=True, slots=True)
class Answer:
    """What a web server answered over TLS. `certificate` is the SHA-256 of the DER leaf, in hex."""

    status: int
    body: bytes
    certificate: str
    location: str = ""


class WebServer(Protocol):
    """The one web server of a host. Its configuration tree has one writer."""

    def version(self) -> tuple[int, int]:
        """Return major and minor version, such as (2, 4)."""

    def writer(self) -> AbstractContextManager[None]:
        """Hold the right to change the configuration tree."""

    def test(self, candidate: str = "") -> Problem | None:
        """Parse the live tree, with the file `candidate` added as if it were in it; writes nothing."""

    def reload(self) -> None:
        """Have the running server take the tree over, gracefully; returns when it was told."""

    def owe_reload(self) -> None:
        """Record durably that a reload is owed: the host worker makes it up as soon as the tree parses."""

    def running(self) -> bool:
        """Say whether the server runs."""

    def hostnames(self) -> Mapping[str, str]:
        """Return each hostname that the live tree serves, lower case, with the file that says so."""

    def get(self, hostname: str, path: str, timeout_s: float = 10.0) -> Answer:
        """Ask this host's server over TLS for a path of that hostname; `Unavailable` if it does not answer."""

    def wait_for(self, hostname: str, path: str, accepted: Callable[[Answer], bool], timeout_s: float) -> Answer | None:
        """Ask again and again (a graceful reload takes effect later) until `accepted` or `timeout_s` is over.

        Returns the last answer, accepted or not; None where the server never answered.
        """


class Schedules(Protocol):
    """The scheduler's table of a user: crontab lines, or the platform's like."""

    def read(self, user: str) -> str:
        """Return the user's table, empty where there is none."""

    def write(self, user: str, table: str) -> None:
        """Replace the user's table in one go; an empty text removes it."""


# A step puts the run's id into the environment of its commands under this name, so that they can be found
# again by `end_leftovers` when the host worker was killed in between.
RUN_VARIABLE = "CENTRAL_DISPATCH_RUN"


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended. `exit_code` is None after a time-out; `tail` holds its last lines, bounded."""

    exit_code: int | None
    tail: str


class Processes(Protocol):
    """Commands of an instance, run as its own user with a clean environment and no new privileges."""

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str,
        directory: str,
        run: str,
        timeout_s: float,
        output: Callable[[str], None],
        stdin: bytes = b"",
    ) -> Completed:
        """Run to the end; past `timeout_s` the whole process tree is ended. Output is bounded.

        Secrets go in by `stdin`, never by `argv` or `environment`. The environment names the run
        (CENTRAL_DISPATCH_RUN), so that what survives the host worker is found again.
        """

    def end_leftovers(self, run: str) -> None:
        """End every process whose environment names that run, however it detached itself."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A long-running process of an instance: name, argument list, and the user it runs as from the start.

    `runtime_directory` is made anew before each start, owned by the user and readable by the web server.
    """

    name: str
    argv: tuple[str, ...]
    user: str
    description: str
    runtime_directory: str


class Services(Protocol):
    """Long-running processes: units of systemd, or kept by the host worker where there is none."""

    def definition(self, unit: Unit) -> tuple[str, str]:
        """Return path and text of the file that defines the unit. Pure."""

    def install(self, unit: Unit, mark: str) -> None:
        """Define the unit exclusively, bearing `mark`, and start it; `Occupied` if the name is taken."""

    def mark_of(self, name: str) -> str | None:
        """Return the mark that the unit's definition bears; empty for a foreign one, None where none is defined."""

    def describe(self, name: str, mark: str) -> None:
        """Change the mark of a unit's definition."""

    def running(self, name: str) -> bool:
        """Say whether the unit's main process lives."""

    def start(self, name: str) -> None:
        """Start a defined unit. Idempotent."""

    def remove(self, name: str) -> None:
        """Stop the unit, wait until its processes are gone, and remove definition and runtime directory. Idempotent."""


class Vault(Protocol):
    """The host's root-only store of the secrets of its instances; durable before a call returns."""

    def secret(self, instance: str, name: str) -> str:
        """Return a secret; raises `HostError` where there is none."""

    def make(self, instance: str, names: Mapping[str, str]) -> None:
        """Make each named secret that the instance lacks, of the given form: `password`, `hex32`, `base64-32`."""

    def open_sealed(self, instance: str, purpose: str, sealed: bytes) -> bytes:
        """Open what the portal sealed to this host for that instance and purpose."""

    def forget(self, instance: str) -> None:
        """Remove an instance's secrets. Idempotent."""

    def mask(self, instance: str, text: str) -> str:
        """Return `text` with the instance's secrets blotted out."""


@dataclass(frozen=True, slots=True)
class Host:
    """All ports of one host, as a step receives them."""

    files: Files
    accounts: Accounts
    databases: Databases
    web: WebServer
    schedules: Schedules
    processes: Processes
    services: Services
    vault: Vault
