"""The command line on a dispatcher's real files, as people call it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "central_dispatch"]


@pytest.fixture
def home(tmp_path: Path, migrated: bytes) -> Iterator[Path]:
    dispatcher = tmp_path / "dispatcher"
    dispatcher.mkdir(mode=0o700)
    (dispatcher / "dispatch.sqlite3").write_bytes(migrated)
    (dispatcher / "secret-key").write_text("x" * 60, encoding="ascii")
    yield tmp_path
    shutil.rmtree(dispatcher)


def call(home: Path, *arguments: str, code: int = 0) -> Any:
    done = subprocess.run(
        [*COMMAND, "--home", str(home), *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)
