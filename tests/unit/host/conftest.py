"""Fixtures of the host worker's tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # --import-mode=importlib: `host_world` is the tests' own module

from host_world import site

__all__ = ["site"]
