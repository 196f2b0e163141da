"""How the host worker is started without a person: a unit of systemd, or a line in root's crontab."""

import sys
from collections.abc import Sequence
from pathlib import Path

from central_dispatch.host import durable
from central_dispatch.host.worker import FINISH_S, SUPERSEDED
from central_dispatch.platforms import commands
from central_dispatch.platforms.linux import us
from central_dispatch.provisioning.ports import Schedules
from central_dispatch.provisioning.problem import HostError, Problem

UNIT = "central-dispatch-host.service"
_UNIT_DIRECTORY = Path("/etc/systemd/system")
_RUNNING = Path("/run/systemd/system")  # there exactly where systemd is the init system: sd_booted(3)
_BEGIN, _END = "# BEGIN central-dispatch host worker", "# END central-dispatch host worker"
_HOUR, _DAY = 60, 24 * 60


def command(home: Path | None, *, once: bool = False) -> list[str]:
    """Return the command that starts the host worker, by the interpreter that runs us now."""
    where = ["--home", str(home)] if home else []
    return [sys.executable, "-m", "central_dispatch", *where, "worker", "host", *(["--once"] if once else [])]


def unit_text(argv: Sequence[str]) -> str:
    """Return the unit's text."""
    line = " ".join(_quoted(word) for word in argv)
    return f"""[Unit]
Description=Central Dispatch host worker
After=network-online.target mariadb.service apache2.service httpd.service
Wants=network-online.target

[Service]
ExecStart={line}
# Commands of a run end with the run; PHP-FPM of instances has units of its own.
KillMode=mixed
TimeoutStopSec={FINISH_S + 30:.0f}
Restart=always
RestartSec=5
# A second host worker uses this enrolment: starting again would take the session back and forth.
RestartPreventExitStatus={SUPERSEDED}
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def _quoted(word: str) -> str:
    """Return a word as systemd reads it back: percent and dollar have a meaning of their own there."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or any(letter in word for letter in " \t'") else word


def cron_fields(every_minutes: int) -> str | Problem:
    """Return the five fields of cron for “every so many minutes”; the hour or the day must be a multiple of it."""
    if 0 < every_minutes < _HOUR and _HOUR % every_minutes == 0:
        return f"*/{every_minutes} * * * *" if every_minutes > 1 else "* * * * *"
    if every_minutes >= _HOUR and every_minutes % _HOUR == 0 and _DAY % every_minutes == 0:
        hours = every_minutes // _HOUR
        return "0 0 * * *" if every_minutes == _DAY else f"0 */{hours} * * *"
    mend = "Use 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 minutes, or 1, 2, 3, 4, 6, 8, 12 or 24 hours."
    return Problem(f"cron cannot run something every {every_minutes} minutes evenly", "", mend, "every")


def with_block(table: str, line: str) -> str:
    """Return a crontab with our block set to `line`, or without the block where it is empty; all else stays."""
    kept: list[str] = []
    lines = table.splitlines()
    while lines:
        text = lines.pop(0)
        if text.strip() == _BEGIN and _END in lines:
            # Without its end we do not know how far the block goes: then nothing counts as ours.
            lines = lines[lines.index(_END) + 1 :]
        else:
            kept.append(text)
    block = [_BEGIN, line, _END] if line else []
    return "".join(f"{text}\n" for text in [*kept, *block])


def install_service(home: Path | None = None, directory: Path = _UNIT_DIRECTORY) -> list[str] | Problem:
    """Write the unit, enable and start it; return what was done, in words."""
    path = directory / UNIT
    if not _RUNNING.is_dir():
        return Problem("This machine does not run systemd", f"there is no {_RUNNING}", "Use --cron.", "service")
    try:
        durable.write(path, unit_text(command(home)).encode(), 0o644)
        for argv in (["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", UNIT]):
            _demand(argv)
    except HostError as error:
        return error.problem
    except OSError as error:
        mend = "Run the command as root; without systemd use --cron."
        return Problem(f"{path} cannot be written", error.strerror or str(error), mend)
    return [f"Wrote {path}", f"Enabled and started {UNIT}"]


def install_cron(schedules: Schedules, home: Path | None = None, every_minutes: int = 15) -> list[str] | Problem:
    """Have cron run the host worker once every so many minutes; return what was done."""
    fields = cron_fields(every_minutes)
    if isinstance(fields, Problem):
        return fields
    argv = command(home, once=True)
    odd = [word for word in argv if not all(letter.isalnum() or letter in "/._-+=,@:" for letter in word)]
    if odd:
        what = f"cron cannot be given the path {odd[0]!r}"
        return Problem(what, "it has characters with a meaning to the shell", "Install into a plain path.")
    user = us().user
    try:
        schedules.write(user, with_block(schedules.read(user), f"{fields} {' '.join(argv)}"))
    except HostError as error:
        return error.problem
    return [f"Added to the crontab of {user}: {fields} {' '.join(argv)}"]


def uninstall(schedules: Schedules, directory: Path = _UNIT_DIRECTORY) -> list[str] | Problem:
    """Remove unit and crontab line, whichever there is; return what was done. Instances stay as they are."""
    done = []
    path, user = directory / UNIT, us().user
    try:
        table = schedules.read(user)
        if _BEGIN in table:
            schedules.write(user, with_block(table, ""))
            done.append(f"Removed the line from the crontab of {user}")
        if path.exists():
            _remove_unit(path)
            done.append(f"Stopped and removed {UNIT}")
    except HostError as error:
        return error.problem
    except OSError as error:
        return Problem(f"{path} cannot be removed", error.strerror or str(error), "Run the command as root.")
    return done or ["Nothing was installed."]


def _remove_unit(path: Path) -> None:
    """Stop and remove it. Where systemd does not run, nothing of it does, and its file is all there is."""
    runs = _RUNNING.is_dir()
    if runs:
        _demand(["systemctl", "disable", "--now", UNIT])
    path.unlink()
    if runs:
        _demand(["systemctl", "daemon-reload"])


def _demand(argv: list[str]) -> None:
    ended = commands.run(argv)
    if ended.code:
        raise HostError(Problem(f"{' '.join(argv)} failed", ended.said, "Correct what it says, then try again."))
