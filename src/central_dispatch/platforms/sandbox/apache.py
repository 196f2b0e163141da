"""A private Apache 2.4: its tree below one directory, listening on loopback ports of its own."""

import os
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from central_dispatch.platforms import commands, proc
from central_dispatch.platforms.layouts import Layout
from central_dispatch.platforms.sandbox.server import end, is_running, wait_until
from central_dispatch.provisioning.problem import HostError, Problem

_MODULE_DIRECTORIES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules")
# Those that the distribution has built into the program are not there as files, and are left out.
_MODULES = [
    "mpm_event",
    "unixd",
    "log_config",
    "authn_core",
    "authz_core",
    "authz_host",
    "access_compat",
    "alias",
    "dir",
    "env",
    "expires",
    "filter",
    "deflate",
    "headers",
    "mime",
    "reqtimeout",
    "rewrite",
    "setenvif",
    "socache_shmcb",
    "ssl",
    "proxy",
    "proxy_fcgi",
]
_CONFIG = """\
# The sandbox's own web server. Written by Central Dispatch; sites belong into sites-available.
ServerRoot "{root}"
ServerName localhost
DefaultRuntimeDir "{run}"
PidFile "{pid_file}"
Mutex "file:{run}" default
Listen 127.0.0.1:{http_port}
Listen 127.0.0.1:{https_port} https
{modules}
{identity}
StartServers 1
MinSpareThreads 25
MaxSpareThreads 75
ThreadsPerChild 25
MaxRequestWorkers 150
Timeout 60
KeepAliveTimeout 5
ServerTokens Prod
TraceEnable Off
HostnameLookups Off
ErrorLog "{log}/error.log"
LogLevel warn
LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O" vhost_common
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
CustomLog "{log}/access.log" vhost_common
TypesConfig /etc/mime.types
DirectoryIndex index.html
SSLProtocol -all +TLSv1.2 +TLSv1.3
SSLSessionCache "shmcb:{run}/ssl_scache(512000)"
SSLSessionTickets Off
<Directory />
    Options None
    AllowOverride None
    Require all denied
</Directory>
# The first site of a port answers for every hostname that no other has: with “not found”, not with a neighbour.
<VirtualHost *:{http_port}>
    ServerName unknown.invalid
    Redirect 404 /
</VirtualHost>
<VirtualHost *:{https_port}>
    ServerName unknown.invalid
    SSLEngine on
    SSLCertificateFile "{certificate}"
    SSLCertificateKeyFile "{key}"
    Redirect 404 /
</VirtualHost>
IncludeOptional {enabled}/*.conf
"""


@dataclass(frozen=True, slots=True)
class ApacheServer:
    """The tree in `root` (0755), the runtime files in `run`, and the layout that a host worker sees."""

    root: Path
    run: Path
    layout: Layout

    def config(self, certificate: Path, key: Path) -> str:
        """Return the text of the main configuration file."""
        layout = self.layout
        return _CONFIG.format(
            root=self.root,
            run=self.run,
            pid_file=layout.pid_file,
            http_port=layout.http_port,
            https_port=layout.https_port,
            modules=_load_modules(),
            identity=f"User {layout.web_user}\nGroup {layout.web_group}" if os.geteuid() == 0 else "",
            log=layout.log_directory,
            certificate=certificate,
            key=key,
            enabled=layout.vhost_enabled,
        )

    def start(self) -> None:
        """Start it, and wait until both ports answer. Idempotent."""
        if not self.running():
            # Apache takes any process of that number for itself.
            Path(self.layout.pid_file).unlink(missing_ok=True)
            ended = commands.run([*self.layout.web_argv, "-k", "start"])
            if ended.code:
                raise HostError(Problem("The sandbox's Apache did not start", ended.said, "Correct what it says."))
        log = Path(self.layout.log_directory) / "error.log"
        wait_until(self._answers, lambda: True, title="Apache", log=log)

    def stop(self) -> None:
        """Stop it, and wait until it is gone. Idempotent."""
        end(self.layout.web_argv[1:], title="Apache", grace_s=5.0)
        Path(self.layout.pid_file).unlink(missing_ok=True)

    def running(self) -> bool:
        """Say whether it runs."""
        return is_running(self.layout.web_argv[1:])

    def _answers(self) -> bool:
        try:
            for port in (self.layout.http_port, self.layout.https_port):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        # The ports are open before the server can be told to reload.
        try:
            main = int(Path(self.layout.pid_file).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return False
        return proc.catches(main, signal.SIGUSR1)


def program() -> str:
    """Return the path of Apache's program."""
    found = next((path for name in ("apache2", "httpd") if (path := shutil.which(name, path=commands.PATH))), "")
    if not found:
        raise HostError(Problem("Apache is missing", "", "Install apache2."))
    return found


def _load_modules() -> str:
    directory = next((path for path in map(Path, _MODULE_DIRECTORIES) if path.is_dir()), None)
    if directory is None:
        raise HostError(Problem("Apache's modules are missing", "", "Install apache2."))
    files = [(name, directory / f"mod_{name}.so") for name in _MODULES]
    return "\n".join(f'LoadModule {name}_module "{file}"' for name, file in files if file.exists())
