"""The command line in one process: `python -m servers.command_shell HOME` runs a JSON list of words per line.

Each command would load Django anew as a process of its own; here it is loaded once for a test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

TESTS = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    """What a person's shell has: nothing of the tests' own Django."""
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return {**inherited, "PYTHONPATH": str(TESTS)}


class Shell:
    """Runs commands on a home, each with `--json`."""

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "servers.command_shell", str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def __call__(self, *words: str, code: int = 0) -> Any:
        """Run a command; returns what it prints, read as JSON."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([*words, "--json"]) + "\n")
        self._process.stdin.flush()
        ended = json.loads(self._process.stdout.readline())
        assert ended["code"] == code, f"{words}: {ended}"
        return json.loads(ended["out"]) if ended["out"] else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


def main() -> int:
    """Serve commands until standard input ends."""
    from click.testing import CliRunner  # noqa: PLC0415 only in the process of its own

    from central_dispatch.cli import main as command  # noqa: PLC0415 likewise

    for line in sys.stdin:
        done = CliRunner().invoke(command, ["--home", sys.argv[1], *json.loads(line)])
        error = repr(done.exception) if done.exception and not isinstance(done.exception, SystemExit) else ""
        answer = {"code": done.exit_code, "out": done.stdout, "err": done.stderr + error}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
