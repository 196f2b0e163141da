"""A small chaos run: parents, fork servers, children and the database are harmed at random under load; then the history
is checked. Nothing is lost, nothing is settled twice, nothing is left unsettled, and no process survives."""

from pathlib import Path

from queue_workers.chaos import Load, run
from queue_workers.nemesis import locked_file
from queue_workers.rig import Rig, lives


def test_under_faults_nothing_is_lost_doubled_or_left(rig: Rig, tmp_path: Path) -> None:
    load = Load(jobs=300, faults=8, pause_s=0.3, seed=20261124, notes=tmp_path / "notes")
    result = run(rig, load, {"database locked": locked_file(tmp_path / "dispatch.sqlite3")})
    assert result.findings.all() == []
    assert result.faults.total() == 8
    assert result.cut_off, "no execution was cut off: there was no harm"
    assert not any(lives(pid) for pid in rig.marked()), "a process survived"
