"""Where things lie below the home directory (`--home`). No Django: a host needs this, too."""

import os
from pathlib import Path

from central_dispatch.host.settings import Home


def home_directory() -> Path:
    """Return the home directory, by the same rule as the dispatcher's (`fleet.home`)."""
    if given := os.environ.get("CENTRAL_DISPATCH_HOME"):
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/central-dispatch")
    return Path.home() / ".local" / "share" / "central-dispatch"


def host_home() -> Home:
    """Return the host worker's home: the machine's own places for root without `--home`."""
    if not os.environ.get("CENTRAL_DISPATCH_HOME") and os.geteuid() == 0:
        return Home()
    return Home(home_directory())


def sandbox_directory() -> Path:
    """Return where `up` keeps its sandbox."""
    return home_directory() / "sandbox"
