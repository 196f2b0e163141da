"""The lines of a fingerprint that a test can answer for, while other suites make their users on the same machine."""

import re

from central_dispatch.platforms.sandbox import Sandbox
from servers.fingerprint import fingerprint

#: What every instance of a test that uses `own_lines` is called.
PREFIX = "bw"
_OTHERS = re.compile(rf"^(/etc/\S+ |crontab |process of )cd-(?!{PREFIX})")


def own_lines(sandbox: Sandbox, *, database: bool = True) -> list[str]:
    """Return the sandbox's fingerprint without the users of instances that are called otherwise."""
    return [line for line in fingerprint(sandbox, database=database) if not _OTHERS.match(line)]
