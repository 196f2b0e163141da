"""Directories that the servers' and instances' own users can pass; pytest's own are root's alone."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def passable_directory() -> Iterator[Path]:
    """Yield a new directory (mode 0711) that goes with all its content in the end."""
    place = Path(tempfile.mkdtemp(prefix="cdt-"))
    place.chmod(0o711)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
