"""The crontabs of users, by the machine's own `crontab`."""

import os
import pwd

from central_dispatch.platforms import commands
from central_dispatch.provisioning.problem import HostError, Problem


class Crontab:
    """Adapter of `ports.Schedules`. Where we are not root, only our own crontab can be read and written."""

    def __init__(self, program: str = "crontab") -> None:
        self._program = program

    def read(self, user: str) -> str:
        """See `ports.Schedules`. A user that is gone has none."""
        argv = self._argv(user)
        if argv is None:
            return ""
        ended = commands.run([*argv, "-l"])
        if ended.code and ended.err.lower().startswith("no crontab for"):
            return ""
        self._demand(ended, f"Cannot read the crontab of {user}")
        return ended.out

    def write(self, user: str, table: str) -> None:
        """See `ports.Schedules`."""
        argv = self._argv(user)
        if argv is None:
            if table.strip():
                raise HostError(Problem(f"Cannot write the crontab of {user}", "there is no such user", ""))
            return
        if table.strip():
            text = table if table.endswith("\n") else f"{table}\n"
            ended = commands.run([*argv, "-"], stdin=text, changing=True)
        else:
            ended = commands.run([*argv, "-r"], changing=True)
            if ended.err.lower().startswith("no crontab for"):
                return
        self._demand(ended, f"Cannot write the crontab of {user}")

    def _argv(self, user: str) -> list[str] | None:
        """Return the command for that user's table; None where there is no such user."""
        try:
            uid = pwd.getpwnam(user).pw_uid
        except KeyError:
            return None
        if os.geteuid() == 0:
            return [self._program, "-u", user]
        if uid == os.geteuid():
            return [self._program]
        raise HostError(
            Problem(f"Cannot reach the crontab of {user}", "the host worker does not run as root", "Run it as root.")
        )

    def _demand(self, ended: commands.Ended, what: str) -> None:
        if ended.code:
            mend = "Name the user in /etc/cron.allow." if "not allowed" in ended.err else ""
            raise HostError(Problem(what, ended.said, mend or "Correct what it says, then try again."))
