"""What a host is, as its worker reports it to the portal."""

import glob
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from central_dispatch.platforms import commands
from central_dispatch.platforms.layouts import Layout, read_os_release
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import HostError

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Facts:
    """One look at the host. Each `…_problem` says why the value beside it is empty. Sizes in bytes."""

    platform: str
    layout: str
    separate_users: bool
    web_server: str
    web_server_runs: bool
    web_server_problem: str
    php: str
    php_fpm: str
    database: str
    database_problem: str
    disk_total: int
    disk_free: int

    def to_json(self) -> dict[str, Any]:
        """Return the form that the wire carries."""
        return asdict(self)


def find_program(globs: tuple[str, ...]) -> str:
    """Return the path of the newest program that one of the patterns matches; empty where none does."""
    found = [path for pattern in globs for path in glob.glob(pattern)]  # noqa: PTH207 absolute patterns are data
    return max(found, key=lambda path: [int(part) for part in _DIGITS.findall(path)], default="")


def find_php_fpm(layout: Layout) -> str:
    """Return the path of the newest PHP-FPM; empty where there is none."""
    return find_program(layout.php_fpm_globs)


def find_php(layout: Layout) -> str:
    """Return the path of the newest PHP for commands; empty where there is none."""
    return find_program(layout.php_globs)


def php_version(program: str) -> str:
    """Return the version that a PHP program names, such as 8.2.28; empty where it names none."""
    if not program:
        return ""
    try:
        words = commands.run([program, "-v"]).out.split()
    except HostError:
        return ""
    return words[1] if len(words) > 1 and words[0] == "PHP" else ""


def platform_text(path: str = "/etc/os-release") -> str:
    """Return the distribution's own name for itself."""
    try:
        values = read_os_release(Path(path).read_text(encoding="utf-8"))
    except OSError:
        return "Linux"
    return values.get("PRETTY_NAME") or values.get("NAME") or "Linux"


def look(layout: Layout, host: Host) -> Facts:
    """Look at the host; never raises for a part that is missing."""
    web, web_problem = _web_version(host)
    database, database_problem = _database_version(host)
    nearest = Path(layout.install_path)
    while not nearest.exists():
        nearest = nearest.parent
    disk = shutil.disk_usage(nearest)
    return Facts(
        platform=platform_text(),
        layout=layout.name,
        separate_users=host.accounts.separate,
        web_server=web,
        web_server_runs=host.web.running(),
        web_server_problem=web_problem,
        php=php_version(find_php(layout)),
        php_fpm=php_version(find_php_fpm(layout)),
        database=database,
        database_problem=database_problem,
        disk_total=disk.total,
        disk_free=host.files.free_bytes(str(nearest)),
    )


def _web_version(host: Host) -> tuple[str, str]:
    try:
        major, minor = host.web.version()
        problem = host.web.test()
    except HostError as error:
        return "", str(error)
    return f"Apache {major}.{minor}", str(problem) if problem else ""


def _database_version(host: Host) -> tuple[str, str]:
    try:
        return host.databases.version(), ""
    except HostError as error:
        return "", str(error)
