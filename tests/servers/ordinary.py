"""Runs a piece of our code as an ordinary user, in an interpreter that this user may execute."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import central_dispatch

_CANDIDATES = (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}")
_PROBE = "import central_dispatch.platforms.sandbox"


def run_as(uid: int, home: Path, code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `code` as that user and group; skips, and says so, where no interpreter is open to others."""
    source = Path(central_dispatch.__file__).parents[1]
    packages = Path(pytest.__file__).parents[1]
    environment = {
        "PYTHONPATH": f"{source}:{packages}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
        "PATH": os.defpath,
    }
    for program in _CANDIDATES:
        try:
            probe = _run([program, "-c", _PROBE], uid, home, environment)
        except OSError:
            continue
        if probe.returncode == 0:
            return _run([program, "-c", code, *arguments], uid, home, environment)
    pytest.skip("needs a Python and a checkout that an ordinary user may read")


def _run(argv: list[str], uid: int, home: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv,
        user=uid,
        group=uid,
        extra_groups=[],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
