"""A stand-in for `systemctl`, for machines without systemd: records its calls, and keeps who is active.

Run as `python systemctl.py STATE_DIRECTORY UNIT_DIRECTORY WORDS…`.
"""

import json
import sys
from pathlib import Path


def _run_ahead(text: str) -> None:
    """Make the runtime directory, and a socket's place in it, as the unit's own commands would."""
    for line in text.splitlines():
        if line.startswith("ExecStartPre=+/usr/bin/install -d -m 2750"):
            directory = Path(line.rsplit(" ", 1)[1])
            directory.mkdir(exist_ok=True)
            (directory / "socket").touch()


def main() -> int:
    """Record the call and answer it."""
    state, units, words = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    with (state / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    unit = words[-1]
    active = state / f"{unit}.active"
    match words[0]:
        case "enable" | "start":
            if not (units / unit).exists():
                print(f"Unit {unit} not found.", file=sys.stderr)  # noqa: T201 it speaks as the program does
                return 5
            active.touch()
            _run_ahead((units / unit).read_text())
        case "disable" | "stop":
            active.unlink(missing_ok=True)
        case "is-active":
            return 0 if active.exists() else 3
        case "show":
            known = (units / unit).exists() or unit == "ssh.service"
            print("loaded" if known else "not-found")  # noqa: T201 it speaks as the program does
    return 0


if __name__ == "__main__":
    sys.exit(main())
