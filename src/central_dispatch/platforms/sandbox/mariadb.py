"""A private MariaDB: its data below one directory, its socket below another, TCP on loopback alone if at all."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from central_dispatch.platforms import commands
from central_dispatch.platforms.database_sql import prepare_statements
from central_dispatch.platforms.mariadb import DatabaseAccess, MariaDb
from central_dispatch.platforms.sandbox.server import end, is_running, wait_until
from central_dispatch.provisioning.problem import HostError, Problem

_SERVER_USER = "mysql"
# A stop writes the buffer pool to disk.
_STOP_GRACE_S = 30.0
_INSTALL_TIMEOUT_S = 180


@dataclass(frozen=True, slots=True)
class MariaDbServer:
    """Where it lies and how it is reached. `port` 0: by its socket alone."""

    directory: Path
    socket: Path
    user: str
    password: str = field(repr=False)
    port: int = 0

    @property
    def access(self) -> DatabaseAccess:
        """The provisioning account, by the socket."""
        return DatabaseAccess(user=self.user, password=self.password, socket=str(self.socket))

    @property
    def tcp_access(self) -> DatabaseAccess:
        """The provisioning account, over TCP."""
        return DatabaseAccess(user=self.user, password=self.password, host="127.0.0.1", port=self.port)

    @property
    def log(self) -> Path:
        """What the server has to say."""
        return self.directory / "error.log"

    def install(self) -> None:
        """Make the data directory anew: whatever a former, interrupted try left is thrown away."""
        shutil.rmtree(self.directory, ignore_errors=True)
        # The log lies in the outer directory, which is ours: the server's user could plant a link for it.
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        self._make_socket_directory()
        # The administrator's account is whoever runs us, known by the socket: there is never an open password.
        ended = commands.run(
            [
                _program("mariadb-install-db"),
                "--no-defaults",
                "--auth-root-authentication-method=socket",
                f"--auth-root-socket-user={_own_name()}",
                "--skip-test-db",
                "--skip-name-resolve",
                f"--datadir={self._data}",
                *_as_server_user(),
            ],
            timeout_s=_INSTALL_TIMEOUT_S,
        )
        if ended.code:
            raise HostError(
                Problem("The sandbox's MariaDB cannot be set up", ended.said[-2000:], "Install mariadb-server.")
            )

    def start(self) -> None:
        """Start it, wait until it answers, and see to the provisioning account. Idempotent."""
        if not self.running():
            self._make_socket_directory()
            with self.log.open("ab") as log:
                child = subprocess.Popen(
                    self._argv(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=dict(commands.ENVIRONMENT),
                    start_new_session=True,
                )
            wait_until(self._answers, lambda: child.poll() is None, title="MariaDB", log=self.log)
        else:
            wait_until(self._answers, self.running, title="MariaDB", log=self.log)
        administrator = self._administrator()
        hosts = ("localhost", "127.0.0.1") if self.port else ("localhost",)
        for host in hosts:
            statements = prepare_statements(self.user, self.password, host)
            administrator.execute(statements, "Cannot make the provisioning account")
        administrator.close()

    def stop(self) -> None:
        """Stop it, and wait until it is gone. Idempotent."""
        end([f"--datadir={self._data}"], title="MariaDB", grace_s=_STOP_GRACE_S)

    def running(self) -> bool:
        """Say whether it runs."""
        return is_running([f"--datadir={self._data}"])

    def _make_socket_directory(self) -> None:
        place = self.socket.parent
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(place, _SERVER_USER, _SERVER_USER)
        place.chmod(0o755)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _argv(self) -> Sequence[str]:
        network = [f"--port={self.port}", "--bind-address=127.0.0.1"] if self.port else ["--skip-networking"]
        return [
            _program("mariadbd"),
            "--no-defaults",
            f"--datadir={self._data}",
            f"--socket={self.socket}",
            f"--pid-file={self._data / 'mariadb.pid'}",
            *network,
            *_as_server_user(),
            "--skip-log-bin",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M",
            "--character-set-server=utf8mb4",
        ]

    def _administrator(self) -> MariaDb:
        return MariaDb(DatabaseAccess(user=_own_name(), socket=str(self.socket)))

    def _answers(self) -> bool:
        administrator = self._administrator()
        try:
            administrator.version()
        except HostError:
            return False
        administrator.close()
        return True


def _own_name() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _as_server_user() -> list[str]:
    return [f"--user={_SERVER_USER}"] if os.geteuid() == 0 else []


def _program(name: str) -> str:
    found = shutil.which(name, path=commands.PATH)
    if not found:
        raise HostError(Problem(f"{name} is missing", "", "Install mariadb-server."))
    return found
