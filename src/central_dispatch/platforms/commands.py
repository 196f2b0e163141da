"""Commands of the system itself (useradd, crontab, apachectl): short, as ourselves, never through a shell."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from central_dispatch.provisioning.problem import HostError, Problem

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Messages are read by us and quoted to people: always in English.
ENVIRONMENT: Mapping[str, str] = {"PATH": PATH, "LC_ALL": "C", "LANG": "C"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a system's command ended; `said` is what it wrote, errors first."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Return its own words."""
        return self.err.strip() or self.out.strip()


def run(argv: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0) -> Ended:
    """Run to the end; raises `HostError` where it cannot be started or takes too long."""
    try:
        ended = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            env=dict(ENVIRONMENT),
            cwd="/",
            check=False,
        )
    except FileNotFoundError:
        raise HostError(
            Problem(f"{argv[0]} is missing", "", "Install it; `central-dispatch doctor` says how.")
        ) from None
    except PermissionError as error:
        raise HostError(
            Problem(f"Cannot run {argv[0]}", error.strerror or "", "Run the host worker as root.")
        ) from None
    except subprocess.TimeoutExpired:
        raise HostError(
            Problem(f"{argv[0]} did not end within {timeout_s:.0f} s", " ".join(argv), "Look at what it waits for.")
        ) from None
    return Ended(ended.returncode, ended.stdout, ended.stderr)
