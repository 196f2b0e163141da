"""PostgreSQL and MariaDB for the job store's tests: started at their first use, ended with the test process.

`CENTRAL_DISPATCH_DURABLE=1` has them write commits to the disk, as servers with customers' data do.
"""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from central_dispatch.configuration import Database
from central_dispatch.platforms.sandbox.server import free_ports

NAME = "central_dispatch"
PASSWORD = "a passphrase of tests"
START_S = 60.0


@dataclass
class DatabaseServer(ABC):
    """One server with a data directory of its own. `start` after `stop` or `kill` finds its data again."""

    directory: Path
    durable: bool = False
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: "subprocess.Popen[bytes] | None" = None
    owner: str = ""
    engine = ""

    @abstractmethod
    def install(self) -> None:
        """Make the data directory."""

    @abstractmethod
    def argv(self) -> list[str]:
        """What starts it in the foreground."""

    @abstractmethod
    def administrator(self, database: str = "") -> Any:
        """A connection that may do everything, in autocommit."""

    @abstractmethod
    def make_user(self) -> None:
        """Make the dispatcher's user, who owns nothing yet."""

    @abstractmethod
    def make_database(self, name: str) -> None:
        """Make an empty database for that user."""

    @abstractmethod
    def sessions(self, user: str = NAME) -> list[int]:
        """The numbers of a user's connections."""

    @abstractmethod
    def cut(self, session: int) -> None:
        """End a connection from the server's side."""

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def as_owner(self) -> dict[str, Any]:
        """What makes a command the server's user where we are root."""
        return {"user": self.owner, "group": self.owner, "extra_groups": []} if os.geteuid() == 0 else {}

    def made_private(self, path: Path) -> Path:
        """A directory for the server's user."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(path, self.owner, self.owner)
        return path

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
                **self.as_owner,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.engine} did not start: {self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            self.administrator().close()
        except Exception:  # noqa: BLE001 each driver has its own
            return False
        return True

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it in order, or not (SIGKILL); waits until it is gone."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(START_S)

    def configuration(self, name: str, **more: Any) -> Database:
        """How the product reaches a database here."""
        password_file = self.directory.parent / f"{self.engine}-password"
        if not password_file.exists():
            password_file.touch(mode=0o600)
            password_file.write_text(PASSWORD + "\n")
        given = {"host": "127.0.0.1", "port": self.port, "user": NAME, "password_file": password_file, **more}
        return Database(engine=self.engine, name=name, **given)

    def toml(self, name: str) -> str:
        """The section of a dispatcher.toml that names a database here."""
        database = self.configuration(name)
        return (
            f'[database]\nengine = "{self.engine}"\nhost = "127.0.0.1"\nport = {self.port}\nname = "{name}"\n'
            f'user = "{NAME}"\npassword_file = "{database.password_file}"\n'
        )


class PostgresServer(DatabaseServer):
    engine = "postgresql"

    def install(self) -> None:
        self.owner = "postgres"
        data = self.made_private(self.directory / "data")
        password = self.directory / "superuser"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        arguments = ["-D", str(data), "-A", "scram-sha-256", "-U", "postgres", f"--pwfile={password}", "-E", "UTF8"]
        made = subprocess.run(
            [str(_postgres() / "initdb"), *arguments, "--locale=C.UTF-8", "--no-sync"],
            check=False, capture_output=True, cwd="/", **self.as_owner,
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(made.stderr.decode())

    def argv(self) -> list[str]:
        fast = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        data = self.directory / "data"
        return [
            str(_postgres() / "postgres"), "-D", str(data), "-p", str(self.port), "-k", str(data),
            "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=120", "-c", "max_wal_size=2GB",
            "-c", "autovacuum_naptime=10s", *([] if self.durable else fast),
        ]  # fmt: skip

    def administrator(self, database: str = "") -> Any:
        import psycopg  # noqa: PLC0415 only where it is used

        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, dbname=database or "postgres",
            autocommit=True, connect_timeout=5,
        )  # fmt: skip

    def make_user(self) -> None:
        with self.administrator() as connection:
            connection.execute(f"CREATE ROLE {NAME} LOGIN PASSWORD '{PASSWORD}'")

    def make_database(self, name: str) -> None:
        with self.administrator() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {NAME} TEMPLATE template0 ENCODING 'UTF8'")

    def sessions(self, user: str = NAME) -> list[int]:
        with self.administrator() as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE usename = %s", (user,))
            return [row[0] for row in rows]

    def cut(self, session: int) -> None:
        with self.administrator() as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", (session,))

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is its fast shutdown: connections are ended."""
        super().stop(signal.SIGINT if number == signal.SIGTERM else number)


class MariaServer(DatabaseServer):
    engine = "mariadb"

    def install(self) -> None:
        self.owner = "mysql"
        data = self.made_private(self.directory / "data")
        name = pwd.getpwuid(os.geteuid()).pw_name
        made = subprocess.run(
            [shutil.which("mariadb-install-db") or "mariadb-install-db", "--no-defaults", "--skip-test-db",
             "--auth-root-authentication-method=socket",
             f"--auth-root-socket-user={name}", f"--datadir={data}", *self._user()],
            check=False, capture_output=True, cwd="/",
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(made.stdout.decode() + made.stderr.decode())
        self.made_private(self.directory / "run").chmod(0o755)

    def argv(self) -> list[str]:
        fast = ["--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--skip-innodb-doublewrite"]
        return [
            shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.directory / 'data'}",
            f"--socket={self.socket}", f"--pid-file={self.directory / 'run' / 'pid'}", f"--port={self.port}",
            # Of its own: a server that starts removes what others have under way in the directory that they share.
            f"--tmpdir={self.directory / 'run'}",
            "--bind-address=127.0.0.1", *self._user(), "--skip-log-bin", "--skip-name-resolve",
            "--innodb-buffer-pool-size=128M", "--innodb-log-file-size=256M", "--max-connections=150",
            *([] if self.durable else fast),
        ]  # fmt: skip

    @property
    def socket(self) -> Path:
        return self.directory / "run" / "s"

    def administrator(self, database: str = "") -> Any:
        import MySQLdb  # noqa: PLC0415 only where it is used

        name = pwd.getpwuid(os.geteuid()).pw_name
        return MySQLdb.connect(
            unix_socket=str(self.socket), user=name, database=database, connect_timeout=5, autocommit=True
        )

    def make_user(self) -> None:
        for host in ("127.0.0.1", "localhost"):
            self._do(f"CREATE USER '{NAME}'@'{host}' IDENTIFIED BY '{PASSWORD}'")

    def make_database(self, name: str) -> None:
        self._do(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
        for host in ("127.0.0.1", "localhost"):
            self._do(f"GRANT ALL ON {name}.* TO '{NAME}'@'{host}'")

    def sessions(self, user: str = NAME) -> list[int]:
        return [row[0] for row in self._do("SELECT id FROM information_schema.processlist WHERE user = %s", user)]

    def cut(self, session: int) -> None:
        import MySQLdb  # noqa: PLC0415 only where it is used

        try:
            self._do("KILL CONNECTION %s", session)
        except MySQLdb.OperationalError as error:
            if error.args[0] != 1094:  # it is gone already
                raise

    def _user(self) -> list[str]:
        return ["--user=mysql"] if os.geteuid() == 0 else []

    @property
    def as_owner(self) -> dict[str, Any]:
        return {}  # it changes its user itself

    def _do(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        connection = self.administrator()
        try:
            cursor = connection.cursor()
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())
        finally:
            connection.close()


SERVERS: dict[str, Callable[[Path, bool], DatabaseServer]] = {"postgresql": PostgresServer, "mariadb": MariaServer}


def started(engine: str, directory: Path, *, durable: bool = False) -> DatabaseServer:
    """Install and start a server below a directory that its user can pass, with the dispatcher's user."""
    place = directory / engine
    place.mkdir(mode=0o755)
    server = SERVERS[engine](place, durable)
    server.install()
    server.start()
    server.make_user()
    return server


@cache
def shared_server(engine: str) -> DatabaseServer:
    """The server that all tests of a session share: leave it running."""
    place = Path(tempfile.mkdtemp(prefix="cdt-"))
    place.chmod(0o711)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    server = started(engine, place, durable=bool(os.environ.get("CENTRAL_DISPATCH_DURABLE")))
    owner = os.getpid()
    # Not in a forked child of a test.
    atexit.register(lambda: server.stop(signal.SIGKILL) if os.getpid() == owner else None)
    return server


def _postgres() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1]
