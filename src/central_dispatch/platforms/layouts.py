"""Where a host keeps its web server's things, as data. A host's administrator may replace any value."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from central_dispatch.provisioning.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One platform's paths, names and commands.

    A vhost is the file `vhost_directory/NAME + vhost_suffix`; where `vhost_enabled` is not empty, a link in
    there switches it on. `web_argv` is the web server's command, to which `-v`, `-t`, `-k` and the like are appended.
    """

    name: str
    title: str
    install_path: str = "/var/www"
    vhost_directory: str
    vhost_enabled: str = ""
    vhost_suffix: str = ".conf"
    certificate_directory: str
    log_directory: str
    archive_directory: str = "/var/lib/central-dispatch/archives"
    runtime_directory: str = "/run/central-dispatch"
    web_user: str
    web_group: str
    web_argv: tuple[str, ...]
    reload_argv: tuple[str, ...]
    restart_argv: tuple[str, ...]
    pid_file: str
    http_port: int = 80
    https_port: int = 443
    php_fpm_globs: tuple[str, ...]
    php_globs: tuple[str, ...]
    database_sockets: tuple[str, ...]
    # Where modules are switched on by links (Debian); empty elsewhere.
    modules_available: str = ""
    modules_enabled: str = ""
    # A directory that the server's main configuration always includes.
    snippet_directory: str = ""
    # The command that gives new paths their SELinux context, used where SELinux is on.
    relabel_argv: tuple[str, ...] = ()


DEBIAN = Layout(
    name="debian",
    title="Debian or Ubuntu",
    vhost_directory="/etc/apache2/sites-available",
    vhost_enabled="/etc/apache2/sites-enabled",
    certificate_directory="/etc/ssl/central-dispatch",
    log_directory="/var/log/apache2",
    modules_available="/etc/apache2/mods-available",
    modules_enabled="/etc/apache2/mods-enabled",
    snippet_directory="/etc/apache2/conf-enabled",
    web_user="www-data",
    web_group="www-data",
    web_argv=("/usr/sbin/apache2ctl",),
    reload_argv=("/usr/sbin/apache2ctl", "graceful"),
    restart_argv=("/usr/sbin/apache2ctl", "restart"),
    pid_file="/run/apache2/apache2.pid",
    php_fpm_globs=("/usr/sbin/php-fpm[0-9]*",),
    php_globs=("/usr/bin/php[0-9]*",),
    database_sockets=("/run/mysqld/mysqld.sock",),
)

RED_HAT = Layout(
    name="red-hat",
    title="Red Hat, Rocky, Alma, CentOS or Fedora",
    vhost_directory="/etc/httpd/conf.d",
    certificate_directory="/etc/pki/tls/central-dispatch",
    log_directory="/var/log/httpd",
    snippet_directory="/etc/httpd/conf.d",
    web_user="apache",
    web_group="apache",
    web_argv=("/usr/sbin/httpd",),
    reload_argv=("/usr/sbin/httpd", "-k", "graceful"),
    restart_argv=("/usr/bin/systemctl", "restart", "httpd.service"),
    pid_file="/run/httpd/httpd.pid",
    php_fpm_globs=("/usr/sbin/php-fpm", "/opt/remi/php*/root/usr/sbin/php-fpm"),
    php_globs=("/usr/bin/php", "/opt/remi/php*/root/usr/bin/php"),
    database_sockets=("/var/lib/mysql/mysql.sock", "/run/mariadb/mariadb.sock"),
    relabel_argv=("/usr/sbin/restorecon", "-R", "-F"),
)

#: Every layout that a host can have by detection. A sandbox makes its own (`sandbox.py`).
LAYOUTS: Mapping[str, Layout] = {layout.name: layout for layout in (DEBIAN, RED_HAT)}

#: A distribution's id in /etc/os-release, and the layout that fits it.
DISTRIBUTIONS: Mapping[str, Layout] = {
    "debian": DEBIAN,
    "ubuntu": DEBIAN,
    "rhel": RED_HAT,
    "fedora": RED_HAT,
    "centos": RED_HAT,
    "rocky": RED_HAT,
    "almalinux": RED_HAT,
    "ol": RED_HAT,
    "amzn": RED_HAT,
}


def read_os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release file, without their quotes."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key: value.strip().strip("\"'") for key, equals, value in pairs if equals}


def detect(text: str | None = None) -> Layout | Problem:
    """Return the layout of the machine, or of the os-release file whose `text` is given."""
    if text is None:
        try:
            text = Path("/etc/os-release").read_text(encoding="utf-8")
        except OSError as error:
            return _unknown(f"/etc/os-release cannot be read: {error.strerror}")
    values = read_os_release(text)
    # The distribution's own id comes before those it is like; the first that is known decides.
    for distribution in [values.get("ID", "").lower(), *values.get("ID_LIKE", "").lower().split()]:
        if distribution in DISTRIBUTIONS:
            return DISTRIBUTIONS[distribution]
    return _unknown(f"its ID is “{values.get('ID', '')}”, like “{values.get('ID_LIKE', '')}”")


def _unknown(why: str) -> Problem:
    return Problem(
        "This machine's distribution is not known",
        why,
        f"Name the layout that fits in the host's configuration: {' or '.join(LAYOUTS)}.",
        field="layout",
    )
