"""The sandbox: a private Apache, PHP-FPM and MariaDB below one directory, real servers that we start and stop.

As root its MariaDB runs as `mysql`, its Apache as the web server's user, and each instance as its own; as an
ordinary user everything runs as that user.
"""

import datetime as dt
import grp
import json
import os
import pwd
import re
import secrets
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from central_dispatch.platforms.accounts import FIRST_ID, LAST_ID
from central_dispatch.platforms.files import PosixFiles
from central_dispatch.platforms.kept import KeptServices
from central_dispatch.platforms.layouts import DEBIAN, Layout, detect
from central_dispatch.platforms.linux import us
from central_dispatch.platforms.mariadb import DatabaseAccess
from central_dispatch.platforms.sandbox.apache import ApacheServer, program
from central_dispatch.platforms.sandbox.certificates import make_certificates
from central_dispatch.platforms.sandbox.mariadb import MariaDbServer
from central_dispatch.platforms.sandbox.server import free_ports
from central_dispatch.provisioning.problem import HostError, Problem

__all__ = ["ApacheServer", "MariaDbServer", "Sandbox", "create", "load"]

_STATE = "sandbox.json"
_PATH = re.compile(r"/[A-Za-z0-9_.+@=,/-]+")
# A socket's path may have 107 characters; `run/instances/cd-NAME/php-fpm.sock` needs up to 60 of them.
_LONGEST_DIRECTORY = 45
#: Each part's mode; `state` and `tls` hold what is root's alone.
_DIRECTORIES = {
    "apache": 0o755,
    "apache/sites-available": 0o755,
    "apache/sites-enabled": 0o755,
    "archives": 0o700,
    "certificates": 0o755,
    "log": 0o750,
    "sources": 0o755,
    "state": 0o700,
    "tls": 0o755,
    "www": 0o755,
}


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox's places and servers. `start` and `stop` may be called twice, and after any crash."""

    directory: Path
    domain: str
    layout: Layout
    apache: ApacheServer
    mariadb: MariaDbServer

    @property
    def database(self) -> DatabaseAccess:
        """The provisioning account of its MariaDB."""
        return self.mariadb.access

    @property
    def state_directory(self) -> Path:
        """The host worker's own place."""
        return self.directory / "state"

    @property
    def sources_directory(self) -> Path:
        """Where sources lie."""
        return self.directory / "sources"

    @property
    def ca(self) -> Path:
        """The certificate that a client has to trust."""
        return self.directory / "tls" / "ca.pem"

    @property
    def certificate(self) -> Path:
        """The default certificate, for the domain and all names one level below it."""
        return self.directory / "tls" / "default.pem"

    @property
    def key(self) -> Path:
        """The default certificate's key."""
        return self.directory / "tls" / "default.key"

    def start(self) -> None:
        """Start what does not run, and wait until it answers; the services of instances, too."""
        _make_runtime(self.layout)
        self.mariadb.start()
        self.apache.start()
        self._services().keep()

    def stop(self) -> None:
        """Stop the servers and the services of instances, and wait until they are gone. Files stay."""
        services = self._services()
        for name in services.names():
            services.stop(name)
        self.apache.stop()
        self.mariadb.stop()

    def running(self) -> bool:
        """Say whether both servers run."""
        return self.apache.running() and self.mariadb.running()

    def _services(self) -> KeptServices:
        directory = str(self.state_directory / "services")
        return KeptServices(PosixFiles(), directory, us(), self.layout.web_group)


def create(directory: str, domain: str = "sandbox.localhost") -> Sandbox:
    """Make a sandbox in `directory` (made, too), or load the one that is there. Nothing is started.

    A try that was interrupted is taken up again. Raises `HostError` that says what is missing.
    """
    root = Path(directory).resolve()
    if (root / _STATE).exists():
        return load(directory)
    _check_place(root)
    files = PosixFiles()
    for place, mode in ((root, 0o755), *((root / name, mode) for name, mode in _DIRECTORIES.items())):
        if files.find(str(place)) is None:
            files.create_directory(str(place), us(), mode)
    values = _choose(root, domain)
    sandbox = _sandbox(root, values)
    for name in files.names(str(root / "tls")):
        files.remove(str(root / "tls" / name))
    make_certificates(files, root / "tls", domain, dt.datetime.now(dt.UTC))
    config = str(root / "apache" / "apache2.conf")
    files.remove(config)
    files.create_file(config, sandbox.apache.config(sandbox.certificate, sandbox.key).encode(), us(), 0o644)
    _spread_numbers(files, sandbox)
    _make_runtime(sandbox.layout)
    sandbox.mariadb.install()
    # Last: what has this file is complete. It holds the password of the provisioning account.
    files.create_file(str(root / _STATE), json.dumps(values, indent=2).encode(), us(), 0o600)
    return sandbox


def _spread_numbers(files: PosixFiles, sandbox: Sandbox) -> None:
    """Have each sandbox of a machine begin elsewhere with its user numbers: none knows of another."""
    counter = str(sandbox.state_directory / "last-id")
    files.remove(counter)
    first = FIRST_ID + secrets.randbelow((LAST_ID - FIRST_ID) // 2)
    files.create_file(counter, f"{first}\n".encode(), us(), 0o600)


def load(directory: str) -> Sandbox:
    """Return the sandbox that lies in `directory`; raises `HostError` where there is none."""
    root = Path(directory).resolve()
    try:
        values = json.loads(PosixFiles().read(str(root / _STATE)))
        return _sandbox(root, values)
    except (HostError, ValueError, KeyError) as error:
        raise HostError(Problem(f"There is no sandbox in {directory}", str(error), "Make one first.")) from None


def _choose(root: Path, domain: str) -> dict[str, Any]:
    http_port, https_port = free_ports(2)
    run = root / "run"
    if len(str(root)) > _LONGEST_DIRECTORY:
        shorter = "/run" if os.geteuid() == 0 else tempfile.gettempdir()
        run = Path(shorter) / f"cd-{secrets.token_hex(6)}"
    return {
        "domain": domain,
        "http_port": http_port,
        "https_port": https_port,
        "run": str(run),
        "database_user": "central_dispatch",
        "database_password": secrets.token_urlsafe(24),
    }


def _sandbox(root: Path, values: dict[str, Any]) -> Sandbox:
    run = Path(values["run"])
    mariadb = MariaDbServer(
        directory=root / "mariadb",
        socket=run / "mysql" / "mysql.sock",
        user=values["database_user"],
        password=values["database_password"],
    )
    layout = _layout(root, run, values)
    apache = ApacheServer(root=root / "apache", run=run, layout=layout)
    return Sandbox(directory=root, domain=values["domain"], layout=layout, apache=apache, mariadb=mariadb)


def _layout(root: Path, run: Path, values: dict[str, Any]) -> Layout:
    found = detect()
    host = found if isinstance(found, Layout) else DEBIAN
    user, group = host.web_user, host.web_group
    if os.geteuid() != 0:
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    argv = (program(), "-d", str(root / "apache"), "-f", str(root / "apache" / "apache2.conf"))
    return Layout(
        name="sandbox",
        title="Sandbox",
        install_path=str(root / "www"),
        vhost_directory=str(root / "apache" / "sites-available"),
        vhost_enabled=str(root / "apache" / "sites-enabled"),
        certificate_directory=str(root / "certificates"),
        log_directory=str(root / "log"),
        archive_directory=str(root / "archives"),
        runtime_directory=str(run / "instances"),
        web_user=user,
        web_group=group,
        web_argv=argv,
        reload_argv=(*argv, "-k", "graceful"),
        restart_argv=(*argv, "-k", "restart"),
        pid_file=str(run / "apache.pid"),
        http_port=values["http_port"],
        https_port=values["https_port"],
        php_fpm_globs=host.php_fpm_globs,
        php_globs=host.php_globs,
        database_sockets=(str(run / "mysql" / "mysql.sock"),),
    )


def _make_runtime(layout: Layout) -> None:
    """Make what a restart of the machine may have swept away."""
    instances = Path(layout.runtime_directory)
    files = PosixFiles()
    for place in (instances.parent, instances):
        if files.find(str(place)) is None:
            files.create_directory(str(place), us(), 0o755)


def _check_place(root: Path) -> None:
    if not _PATH.fullmatch(str(root)):
        raise HostError(
            Problem(f"A sandbox cannot lie in {root}", "use letters, digits and _ . + @ = , - in its path", "")
        )
    if os.geteuid() != 0:
        return
    for parent in root.parents:
        if parent.exists() and not parent.stat().st_mode & stat.S_IXOTH:
            raise HostError(
                Problem(
                    f"A sandbox cannot lie in {root}",
                    f"its servers and instances run as users of their own, who may not pass {parent}",
                    f"Choose another place, or let them pass: chmod o+x {parent}",
                )
            )
