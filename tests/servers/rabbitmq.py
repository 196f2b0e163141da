"""RabbitMQ nodes from the machine's package, on free loopback ports, with data, cookie and port mapper of their own.

Usable without pytest: `with Node(directory) as node: node.port, node.password …`
"""

import atexit
import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from central_dispatch.brokers.rabbitmq.broker import RabbitBroker
from central_dispatch.brokers.rabbitmq.link import Place
from central_dispatch.brokers.rabbitmq.timing import Timing
from central_dispatch.platforms.sandbox.server import free_ports

_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
_START_S = 90.0
_LOT = 8
_PLACE = "rabbitmq.json"
USER = "dispatcher"
#: Little of everything: the tests' machines have two cores, and several nodes may run at a time.
_ERLANG = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"


@dataclass
class PortMapper:
    """Erlang's port mapper (epmd), which would otherwise be the machine's and outlive its nodes."""

    port: int = field(default_factory=lambda: free_ports(1)[0])
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["epmd", "-port", str(self.port), "-address", "127.0.0.1"],  # noqa: S607 from the path, as Erlang does
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until_open(self.port)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@dataclass
class Node:
    """One node. `settings`: lines for rabbitmq.conf; `advanced`: terms for advanced.config.

    The nodes of a cluster share the mapper and the cookie.
    """

    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    mapper: PortMapper | None = None
    cookie: str = field(default_factory=lambda: secrets.token_hex(16))
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    user: str = USER
    advanced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.port, self._dist_port = free_ports(2)
        self.name = f"cd{secrets.token_hex(4)}@localhost"
        self._own_mapper = self.mapper is None
        self.mapper = self.mapper or PortMapper()
        self._process: subprocess.Popen[bytes] | None = None
        self._fresh: list[str] = []
        self.directory.mkdir(parents=True, exist_ok=True)
        cookie = self.directory / ".erlang.cookie"
        cookie.write_text(self.cookie, encoding="ascii")
        cookie.chmod(0o400)
        self._write_configuration()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def log(self) -> Path:
        return self.directory / "node.log"

    def start(self) -> None:
        """Start it, again if it was before, and wait until it serves."""
        assert self.mapper
        if self._own_mapper and self.mapper._process is None:
            self.mapper.start()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(_SCRIPTS / "rabbitmq-server")], env=self._environment(), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
            )  # fmt: skip
        self._until_serving()

    def kill(self) -> None:
        """End it with SIGKILL, as a machine's fall would."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Have it end in order."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(60)
            self.kill()

    def suspend(self, *, stopped: bool) -> None:
        """Let it stand still (SIGSTOP), or go on."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGSTOP if stopped else signal.SIGCONT)

    def close(self) -> None:
        """End it and its port mapper."""
        with contextlib.suppress(AssertionError, ProcessLookupError):
            self.suspend(stopped=False)
        self.kill()
        if self._own_mapper and self.mapper:
            self.mapper.stop()

    def ctl(self, *arguments: str, script: str = "rabbitmqctl") -> str:
        """Run one of its own commands; returns what it says."""
        done = subprocess.run(
            [str(_SCRIPTS / script), "-q", *arguments], env=self._environment(), cwd=self.directory,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(f"{script} {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def add_virtual_hosts(self, *names: str) -> None:
        """Make some where the node's user may do everything. All in one command, which costs a second itself."""
        hosts = ", ".join(f'<<"{name}">>' for name in names)
        rights = ", ".join(['<<".*">>'] * 3)
        allow = f'rabbit_auth_backend_internal:set_permissions(<<"{self.user}">>, V, {rights}, <<"test">>)'
        self.ctl("eval", f'[begin rabbit_vhost:add(V, <<"test">>), {allow} end || V <- [{hosts}]].')

    def fresh_virtual_host(self) -> str:
        """Return a virtual host that nothing is in."""
        if not self._fresh:
            self._fresh = [secrets.token_hex(8) for _ in range(_LOT)]
            self.add_virtual_hosts(*self._fresh)
        return self._fresh.pop()

    def published(self) -> int:
        """How many messages the channels that are open now have published."""
        return int(self.ctl("eval", "lists:sum([element(2, M) || M <- ets:tab2list(channel_exchange_metrics)])."))

    def place(self, virtual_host: str = "/", *, cluster: bool = False) -> Place:
        """Where a broker finds it."""
        return Place(
            addresses=(("127.0.0.1", self.port),), virtual_host=virtual_host, user=self.user, password=self.password,
            cluster=cluster,
        )  # fmt: skip

    def toml(self, directory: Path, virtual_host: str = "/") -> str:
        """Return the section of a dispatcher.toml that names it; its password goes into a file in that directory."""
        path = directory / "broker-password"
        path.touch(mode=0o600)
        path.write_text(self.password, encoding="utf-8")
        return (
            f'[broker]\nkind = "rabbitmq"\nport = {self.port}\nvirtual_host = "{virtual_host}"\n'
            f'user = "{self.user}"\npassword_file = "{path}"\n'
        )

    def _until_serving(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            assert self._process
            if self._process.poll() is not None:
                break
            if _greets(self.port):
                return
            time.sleep(0.1)
        raise AssertionError(f"{self.name} did not start: {self.log.read_text(errors='replace')[-3000:]}")

    def _write_configuration(self) -> None:
        lines = {
            "listeners.tcp.1": f"127.0.0.1:{self.port}",
            "default_user": self.user,
            "default_pass": self.password,
            "log.console": "true",
            "log.file": "false",
            "disk_free_limit.absolute": "50MB",
            "loopback_users": "none",
            **self.settings,
        }
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        (self.directory / "rabbitmq.conf").write_text(text, encoding="utf-8")
        (self.directory / "enabled_plugins").write_text("[].\n", encoding="ascii")
        ports = f"{{inet_dist_listen_min, {self._dist_port}}}, {{inet_dist_listen_max, {self._dist_port}}}"
        kernel = f"{{kernel, [{{inet_dist_use_interface, {{127,0,0,1}}}}, {ports}]}}"
        terms = ",\n ".join((kernel, *self.advanced))
        (self.directory / "advanced.config").write_text(f"[{terms}].\n", encoding="ascii")

    def _environment(self) -> dict[str, str]:
        assert self.mapper
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(self.directory),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.directory / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            "ERL_EPMD_PORT": str(self.mapper.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }


@functools.cache
def shared_node() -> Node:
    """Return a node for all tests of this process, each in a virtual host of its own; it ends with the process."""
    directory = Path(tempfile.mkdtemp(prefix="cdt-rabbitmq-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    node = Node(directory)
    atexit.register(node.close)
    node.start()
    return node


def write_place(directory: Path, place: Place) -> None:
    """Leave word where RabbitMQ is, for the processes of a test: no password is in their arguments."""
    value = [list(place.addresses), place.virtual_host, place.user, place.password, place.cluster]
    path = directory / _PLACE
    path.touch(0o600)
    path.write_text(json.dumps(value), encoding="utf-8")


def open_rabbit(directory: Path, timing: Timing | None = None) -> RabbitBroker:
    """Open the broker that `write_place` left word of."""
    addresses, virtual_host, user, password, is_cluster = json.loads((directory / _PLACE).read_text(encoding="utf-8"))
    places = tuple((str(host), int(port)) for host, port in addresses)
    found = Place(addresses=places, virtual_host=virtual_host, user=user, password=password, cluster=is_cluster)
    return RabbitBroker(found, timing)


@contextlib.contextmanager
def cluster(directory: Path, size: int = 3) -> Iterator[list[Node]]:
    """Start nodes that are one cluster."""
    mapper, cookie, password = PortMapper(), secrets.token_hex(16), secrets.token_urlsafe(16)
    mapper.start()
    nodes = [Node(directory / f"node{index}", {}, mapper, cookie, password) for index in range(size)]
    try:
        for node in nodes:
            node.start()
        for node in nodes[1:]:
            for step in (["stop_app"], ["reset"], ["join_cluster", nodes[0].name], ["start_app"]):
                node.ctl(*step)
        yield nodes
    finally:
        for node in nodes:
            node.close()
        mapper.stop()


def until_open(port: int) -> None:
    """Wait until something listens there."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port}")


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.settimeout(5)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(connection.recv(1))
    except OSError:
        return False
