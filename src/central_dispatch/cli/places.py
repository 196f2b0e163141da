"""Where things lie below the home directory (`--home`). No Django: a host needs this, too."""

import os
from pathlib import Path


def home_directory() -> Path:
    """Return the home directory, by the same rule as the dispatcher's (`portal.home`)."""
    if given := os.environ.get("CENTRAL_DISPATCH_HOME"):
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/central-dispatch")
    return Path.home() / ".local" / "share" / "central-dispatch"


def sandbox_directory() -> Path:
    """Return where `up` keeps its sandbox."""
    return home_directory() / "sandbox"
