"""The fixture that tests of queue workers share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from queue_workers.rig import Rig


@pytest.fixture
def rig(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A rig on the stores and brokers that the test's own parameter names; SQLite and the embedded one otherwise."""
    made = Rig(tmp_path, *getattr(request, "param", ()))
    try:
        yield made
    finally:
        made.close()
