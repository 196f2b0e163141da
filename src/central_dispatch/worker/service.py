"""A queue worker as a service of systemd: the unit's text, and what becomes of it. One unit for each assignment."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from central_dispatch.platforms import commands
from central_dispatch.platforms.systemd import argument
from central_dispatch.provisioning.problem import HostError, Problem

UNIT_DIRECTORY = Path("/etc/systemd/system")
RUNNING = Path("/run/systemd/system")  # there exactly where systemd is the init system: sd_booted(3)
_PREFIX = "central-dispatch-worker-"
_MARK = "# Written by central-dispatch worker install."
#: Running jobs' grace time when the service is stopped, at most; and what systemd allows beyond it, in seconds: the
#: worker itself waits half a minute for an absent database before it leaves its rows to the next one.
DRAIN_S = 300
_SLACK_S = 60
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", re.ASCII)
_TEMPLATE = """\
{mark}
[Unit]
Description=Central Dispatch queue worker ({name})
After=network-online.target mariadb.service postgresql.service rabbitmq-server.service
Wants=network-online.target
# It is started again for as long as it takes: what it needs may be away for hours.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
User={user}
UMask=0077
Restart=always
RestartSec=5
# SIGTERM for the parent alone, which lets its jobs end; whatever is left after the time gets SIGKILL.
KillMode=mixed
TimeoutStopSec={stop_s}
WatchdogSec=600
# A job that exhausts the memory costs an attempt, not the worker.
OOMPolicy=continue
LimitNOFILE=16384
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
PrivateTmp=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One worker's service: its assignment, who runs it, and where. `listen`: address of its metrics, or none."""

    name: str
    user: str
    home: Path
    listen: str = ""
    drain_s: int = DRAIN_S

    @property
    def unit(self) -> str:
        """The unit's name."""
        return f"{_PREFIX}{self.name}.service"

    @property
    def command(self) -> list[str]:
        """The command that systemd starts, by the interpreter that runs us now."""
        what = ["worker", "execute", "--assignment", self.name, "--drain-limit", str(self.drain_s)]
        listen = ["--listen", self.listen] if self.listen else []
        return [sys.executable, "-m", "central_dispatch", "--home", str(self.home), *what, *listen]

    def text(self) -> str:
        """Return the unit's text; `HostError` for an argument that no unit can hold."""
        command = " ".join(map(argument, self.command))
        stop_s = self.drain_s + _SLACK_S
        return _TEMPLATE.format(mark=_MARK, name=self.name, command=command, user=self.user, stop_s=stop_s)

    def problems(self) -> list[Problem]:
        """Return what cannot be, each with its field."""
        found = []
        if not _USER.fullmatch(self.user):
            found.append(Problem(f"“{self.user}” is no user's name", field="user"))
        if not self.home.is_absolute():
            found.append(Problem(f"{self.home} is no absolute path", field="home"))
        return found


def install(service: Service, directory: Path = UNIT_DIRECTORY) -> list[str] | Problem:
    """Write the unit, enable and start it; one that is there is replaced and started again. Says what was done."""
    path = directory / service.unit
    if foreign := _foreign(path):
        return foreign
    try:
        was_there = path.exists()
        _write(path, service.text())
        _demand("daemon-reload")
        _demand("enable", service.unit)
        _demand("restart", service.unit)
    except HostError as error:
        return error.problem
    except OSError as error:
        return Problem(f"{path} cannot be written", error.strerror or str(error), "Run the command as root.")
    return [f"{'Replaced' if was_there else 'Wrote'} {path}", f"Enabled and started {service.unit}"]


def uninstall(name: str, directory: Path = UNIT_DIRECTORY) -> list[str] | Problem:
    """Stop the service, let its jobs end, and remove its unit; says what was done. The assignment stays."""
    unit = f"{_PREFIX}{name}.service"
    path = directory / unit
    if not path.exists():
        mend = f"Look into {directory} for {_PREFIX}*.service."
        return Problem(f"No queue worker of the name “{name}” is installed", mend=mend, field="name")
    if foreign := _foreign(path):
        return foreign
    try:
        if RUNNING.is_dir():
            # As long as its jobs may take to end.
            _demand("disable", "--now", unit, timeout_s=_stop_s(path) + 60)
        path.unlink()
        if RUNNING.is_dir():
            _demand("daemon-reload")
    except HostError as error:
        return error.problem
    except OSError as error:
        return Problem(f"{path} cannot be removed", error.strerror or str(error), "Run the command as root.")
    return [f"Stopped and removed {unit}"]


def installed(directory: Path = UNIT_DIRECTORY) -> list[str]:
    """Return the names of the queue workers that are installed here."""
    found = directory.glob(f"{_PREFIX}*.service")
    return sorted(path.name.removeprefix(_PREFIX).removesuffix(".service") for path in found)


def _foreign(path: Path) -> Problem | None:
    """Refuse to touch a unit of that name that we did not write."""
    try:
        first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except FileNotFoundError:
        return None
    except OSError as error:
        return Problem(f"{path} cannot be read", error.strerror or str(error), "Run the command as root.")
    if first == _MARK:
        return None
    return Problem(f"{path} is not ours", f"its first line is not “{_MARK}”", "Move it away, then try again.")


def _write(path: Path, text: str) -> None:
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text, encoding="utf-8")
    staged.chmod(0o644)
    staged.replace(path)


def _stop_s(path: Path) -> float:
    found = re.search(r"^TimeoutStopSec=(\d+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return float(found[1]) if found else DRAIN_S + _SLACK_S


def _demand(*words: str, timeout_s: float = 120) -> None:
    argv: Sequence[str] = ["systemctl", *words]
    ended = commands.run(argv, timeout_s=timeout_s)
    if ended.code:
        see = f"See: journalctl -u {words[-1]}" if len(words) > 1 else "Correct what it says, then try again."
        raise HostError(Problem(f"{' '.join(argv)} failed", ended.said, see))
