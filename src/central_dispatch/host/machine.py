"""The machine under a host worker, as its settings describe it: ports, planner, facts, and its upkeep."""

import logging
import threading
from dataclasses import replace
from typing import Protocol

from central_dispatch import __version__
from central_dispatch.host.planner import Planned, Planner
from central_dispatch.host.resolved import Resolved, build, resolve, view
from central_dispatch.host.settings import Home, load
from central_dispatch.host.site import site_of
from central_dispatch.platforms import facts as platform_facts
from central_dispatch.provisioning.ports import Host, Vault
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.protocol import Facts, Item, Order, SettingsView

_log = logging.getLogger(__name__)


class Planning(Protocol):
    """Makes plans; reads the host and changes nothing."""

    def plan(self, order: Order) -> Planned | list[Problem]:
        """Return the plan of an order, or everything that stands against it."""

    def inventory(self, order: Order) -> list[Item]:
        """Return what bears the instance's names."""


class Machine(Protocol):
    """What the host worker asks of its machine. Each method may raise `HostError`."""

    def host(self) -> Host:
        """Return the ports."""

    def planner(self) -> Planning:
        """Return a planner for the machine as it is now."""

    def facts(self) -> Facts:
        """Look at the machine; takes up to a few seconds."""

    def settings(self) -> SettingsView:
        """Return the settings for the portal."""

    def upkeep(self) -> list[Problem]:
        """Start again the services that died, make up owed reloads; return what stands against it."""

    def refresh(self) -> None:
        """Take changed settings over. Called only while no run is under way."""


class ConfiguredMachine:
    """Adapter of `Machine` for the machine that `host.toml` describes. Threads may share it."""

    def __init__(self, home: Home, vault: Vault) -> None:
        self._home = home
        self._vault = vault
        self._lock = threading.RLock()
        self._resolved: Resolved | None = None
        self._host: Host | None = None

    def host(self) -> Host:
        """See `Machine`."""
        with self._lock:
            if self._host is None:
                self._host = build(self._current(), self._vault)
            return self._host

    def planner(self) -> Planning:
        """See `Machine`."""
        resolved, host = self._current(), self.host()
        try:
            site = site_of(host, resolved.layout, resolved.choices)
        except (OSError, UnicodeDecodeError) as error:
            raise HostError(
                Problem("A template of the host cannot be read", str(error), "Look at vhost_template.")
            ) from error
        return Planner(host, site, str(resolved.sources_directory))

    def facts(self) -> Facts:
        """See `Machine`."""
        resolved = self._current()
        return facts_of(platform_facts.look(resolved.layout, self.host()))

    def settings(self) -> SettingsView:
        """See `Machine`."""
        return view(self._current(), self.host().files)

    def upkeep(self) -> list[Problem]:
        """See `Machine`."""
        host = self.host()
        keep, make_up = getattr(host.services, "keep", None), getattr(host.web, "make_up", None)
        if keep is not None and (restarted := keep()):
            _log.warning("services had ended and were started again: %s", ", ".join(restarted))
        problem = make_up() if make_up is not None else None
        return [problem] if problem else []

    def refresh(self) -> None:
        """See `Machine`. Settings that cannot be read leave the former ones in force."""
        settings = load(self._home)
        found = settings if isinstance(settings, Problem) else resolve(settings, self._home)
        if isinstance(found, Problem):
            raise HostError(found)
        with self._lock:
            if found == self._resolved:
                return
            former, self._resolved, self._host = self._host, found, None
            if former is not None:
                # The keeper of the services knows its children: a new one would leave them unreaped.
                self._host = replace(build(found, self._vault), services=former.services)

    def _current(self) -> Resolved:
        with self._lock:
            if self._resolved is None:
                self.refresh()
            if self._resolved is None:
                raise HostError(Problem("The host's settings cannot be read"))
            return self._resolved


def facts_of(found: platform_facts.Facts) -> Facts:
    """Return what the platform saw, in the words of the protocol."""
    running = "running" if found.web_server_runs else "not running"
    php = " and ".join(
        part for part in (found.php and f"PHP {found.php}", found.php_fpm and f"FPM {found.php_fpm}") if part
    )
    problems = [problem for problem in (found.web_server_problem, found.database_problem) if problem]
    if found.web_server and not found.web_server_runs:
        problems.append("the web server does not run")
    if not found.php_fpm:
        problems.append("PHP-FPM is missing: only static portals can be deployed")
    return Facts(
        platform=found.platform,
        layout=found.layout,
        web_server=f"{found.web_server}, {running}" if found.web_server else "",
        php=php,
        database_server=found.database,
        free_bytes=found.disk_free,
        total_bytes=found.disk_total,
        separate_users=found.separate_users,
        worker_version=__version__,
        problems=tuple(problems),
    )
