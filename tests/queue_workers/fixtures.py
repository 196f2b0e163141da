"""The fixture that tests of queue workers share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from queue_workers.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    try:
        yield made
    finally:
        made.close()
