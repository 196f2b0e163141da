"""What stores add to the gate; that writers take turns is shown where Django and the store meet."""

from pathlib import Path

import pytest

from central_dispatch.stores.gate import Gate, GateClosed, gate_path


def test_all_who_write_a_database_meet_at_the_same_file(tmp_path: Path) -> None:
    assert gate_path(tmp_path / "x.sqlite3") == tmp_path / "x.sqlite3.lock"


def test_patience_is_the_callers(tmp_path: Path) -> None:
    first, second = Gate(tmp_path / "lock"), Gate(tmp_path / "lock", patience_s=0.01)
    first.enter()
    with pytest.raises(GateClosed, match="holds the database"):
        second.enter()
    second.close()
    first.close()
