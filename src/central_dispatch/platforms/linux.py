"""The ports of a Linux host, put together from its layout."""

import grp
import os
import pwd
from pathlib import Path

from central_dispatch.platforms import commands
from central_dispatch.platforms.accounts import LinuxAccounts, SingleUserAccounts
from central_dispatch.platforms.apache import Apache
from central_dispatch.platforms.crontab import Crontab
from central_dispatch.platforms.files import PosixFiles
from central_dispatch.platforms.kept import KeptServices
from central_dispatch.platforms.layouts import Layout
from central_dispatch.platforms.mariadb import DatabaseAccess, MariaDb
from central_dispatch.platforms.processes import UserProcesses
from central_dispatch.platforms.systemd import SystemdServices
from central_dispatch.provisioning.ports import Accounts, Host, Owner, Services, Vault

__all__ = ["DatabaseAccess", "build_host", "us"]

SYSTEMD = "/run/systemd/system"


def us() -> Owner:
    """Return the owner of what belongs to the host worker itself."""
    return Owner(pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name)


def build_host(layout: Layout, *, vault: Vault, state_directory: str, database: DatabaseAccess) -> Host:
    """Return the ports of this machine.

    `state_directory` exists and only root (or who we are) can change it: the highest user number handed
    out, the web server's lock, the note of an owed reload, and kept services live there. Waits for commands that
    a killed host worker left at work: what they change could not be seen yet.
    """
    commands.await_leftovers()
    files = PosixFiles(layout.relabel_argv)
    accounts: Accounts = SingleUserAccounts()
    if os.geteuid() == 0:
        accounts = LinuxAccounts(str(Path(state_directory) / "last-id"))
    return Host(
        files=files,
        accounts=accounts,
        databases=MariaDb(database),
        web=Apache(layout, state_directory),
        schedules=Crontab(),
        processes=UserProcesses(),
        services=_services(layout, files, state_directory),
        vault=vault,
    )


def _services(layout: Layout, files: PosixFiles, state_directory: str) -> Services:
    # A sandbox leaves the machine's own units alone, and an ordinary user cannot make any.
    if layout.name != "sandbox" and os.geteuid() == 0 and Path(SYSTEMD).is_dir():
        return SystemdServices(files, layout.web_group)
    directory = str(Path(state_directory) / "services")
    for needed, mode in ((directory, 0o700), (layout.runtime_directory, 0o755)):
        if files.find(needed) is None:
            files.create_directory(needed, us(), mode)
    return KeptServices(files, directory, us(), layout.web_group)
