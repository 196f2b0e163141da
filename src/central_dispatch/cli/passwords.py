"""Secrets on the way in and out: read from standard input, shown once, never an argument."""

import sys

from central_dispatch.cli import exit_codes, screen
from central_dispatch.provisioning.problem import Problem

_LONGEST = 4096


def given(*, from_stdin: bool) -> str | None:
    """Return the first line of standard input where it is to be the password; None to generate one."""
    if not from_stdin:
        return None
    password = sys.stdin.readline(_LONGEST + 1).rstrip("\r\n")
    if not password or len(password) > _LONGEST:
        problem = Problem(
            "is needed on standard input, as one line", f"at most {_LONGEST} characters", field="password"
        )
        raise screen.Stop(exit_codes.FAILED, problem)
    return password
