"""Services as units of systemd."""

import time
from pathlib import Path

from central_dispatch.platforms import commands
from central_dispatch.provisioning.ports import Files, Owner, Unit
from central_dispatch.provisioning.problem import HostError, Problem

UNIT_DIRECTORY = "/etc/systemd/system"
_MARK = "# "
_SETTLED_S = 5.0
_POLL_S = 0.02
_TEMPLATE = """\
[Unit]
Description={description}
After=network.target mariadb.service

[Service]
Type=simple
User={user}
Group={user}
UMask=0027
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
KillMode=control-group
TimeoutStopSec=10
Restart=always
RestartSec=2
{runtime}ExecStart={command}

[Install]
WantedBy=multi-user.target
"""
# The set-group-id bit lets the socket belong to the web server's group, which the service itself is not in.
_RUNTIME = """\
ExecStartPre=+/usr/bin/rm -rf -- {directory}
ExecStartPre=+/usr/bin/install -d -m 0755 -o root -g root -- {parent}
ExecStartPre=+/usr/bin/install -d -m 2750 -o {user} -g {group} -- {directory}
"""


class SystemdServices:
    """Adapter of `ports.Services` for root where systemd runs. `systemctl` is its command."""

    def __init__(
        self,
        files: Files,
        web_group: str,
        directory: str = UNIT_DIRECTORY,
        systemctl: tuple[str, ...] = ("/usr/bin/systemctl",),
    ) -> None:
        self._files = files
        self._web_group = web_group
        self._directory = Path(directory)
        self._systemctl = systemctl

    def definition(self, unit: Unit) -> tuple[str, str]:
        """See `ports.Services`."""
        return self._path(unit.name), self._text(unit)

    def install(self, unit: Unit, mark: str) -> None:
        """See `ports.Services`. Switched on, so that it comes back with the machine."""
        text = f"{_MARK}{mark}\n{self._text(unit)}"
        self._files.create_file(self._path(unit.name), text.encode(), Owner("root", "root"), 0o644)
        self._do("daemon-reload")
        self._do("enable", "--now", self._unit_name(unit.name))
        self._settle(unit.name, unit.runtime_directory)

    def mark_of(self, name: str) -> str | None:
        """See `ports.Services`."""
        path = self._path(name)
        if self._files.find(path) is None:
            # One of a package, or from a drop-in directory, holds the name as well.
            known = commands.run([*self._systemctl, "show", "-P", "LoadState", self._unit_name(name)])
            return None if known.code or known.out.strip() in {"", "not-found"} else ""
        first = self._files.read(path).decode("utf-8", "replace").partition("\n")[0]
        return first.removeprefix(_MARK) if first.startswith(_MARK) else ""

    def describe(self, name: str, mark: str) -> None:
        """See `ports.Services`."""
        path = self._path(name)
        staged = str(Path(path).with_name(f".{self._unit_name(name)}.new"))
        old = self._files.read(path).decode("utf-8")
        body = old.partition("\n")[2] if old.startswith(_MARK) else old
        self._files.remove(staged)
        self._files.create_file(staged, f"{_MARK}{mark}\n{body}".encode(), Owner("root", "root"), 0o644)
        self._files.replace(staged, path)
        self._do("daemon-reload")

    def running(self, name: str) -> bool:
        """See `ports.Services`."""
        return not commands.run([*self._systemctl, "is-active", "--quiet", self._unit_name(name)]).code

    def start(self, name: str) -> None:
        """See `ports.Services`."""
        self._do("start", self._unit_name(name))
        text = self._files.read(self._path(name)).decode("utf-8", "replace")
        self._settle(name, _runtime_of(text))

    def _settle(self, name: str, runtime_directory: str) -> None:
        """Wait until the service made its socket: systemd counts it as started before that."""
        deadline = time.monotonic() + _SETTLED_S
        while runtime_directory and not self._files.names(runtime_directory) and time.monotonic() < deadline:
            if not self.running(name):
                break
            time.sleep(_POLL_S)
        if not self.running(name):
            said = commands.run([*self._systemctl, "status", "--no-pager", "--lines=20", self._unit_name(name)]).said
            raise HostError(Problem(f"The service {name} does not stay up", said, "Correct what it says."))

    def remove(self, name: str) -> None:
        """See `ports.Services`."""
        path = self._path(name)
        if self._files.find(path) is None:
            return
        text = self._files.read(path).decode("utf-8", "replace")
        self._do("disable", "--now", self._unit_name(name))
        if directory := _runtime_of(text):
            self._files.remove(directory)
        self._files.remove(path)
        self._do("daemon-reload")
        # One that had failed is still listed otherwise; there may be nothing to forget.
        commands.run([*self._systemctl, "reset-failed", self._unit_name(name)])

    def keep(self, now: float | None = None) -> list[str]:  # noqa: ARG002 the same call as KeptServices'
        """Start nothing: systemd restarts its units itself."""
        return []

    def _text(self, unit: Unit) -> str:
        runtime = ""
        if unit.runtime_directory:
            directory = Path(unit.runtime_directory)
            runtime = _RUNTIME.format(
                directory=argument(str(directory)),
                parent=argument(str(directory.parent)),
                user=unit.user,
                group=self._web_group,
            )
        return _TEMPLATE.format(
            description=unit.description.replace("%", "%%").replace("\n", " "),
            user=unit.user,
            runtime=runtime,
            command=" ".join(argument(word) for word in unit.argv),
        )

    def _unit_name(self, name: str) -> str:
        if not name or "/" in name or name.startswith((".", "-")):
            raise HostError(Problem(f"Refused the service name {name!r}", "it is not a plain name", ""))
        return f"{name}.service"

    def _path(self, name: str) -> str:
        return str(self._directory / self._unit_name(name))

    def _do(self, *words: str) -> None:
        ended = commands.run([*self._systemctl, *words], timeout_s=120)
        if ended.code:
            what = f"systemctl {' '.join(words)} failed"
            raise HostError(Problem(what, ended.said, f"See `journalctl -u {words[-1]}`."))


def argument(word: str) -> str:
    """Return one word of a command line in a unit: quoted, and without systemd's own substitutions."""
    if "\n" in word or "\0" in word:
        raise HostError(Problem("Refused an argument of a service", "it has a line end", ""))
    inner = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return inner if inner == word and " " not in word and word else f'"{inner}"'


def _runtime_of(text: str) -> str:
    start = "ExecStartPre=+/usr/bin/rm -rf -- "
    return next((line.removeprefix(start).strip('"') for line in text.splitlines() if line.startswith(start)), "")
