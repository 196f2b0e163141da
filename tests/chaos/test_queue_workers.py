"""Small chaos runs: parents, fork servers, children, databases and RabbitMQ are harmed at random under load; then the
history is checked. Nothing is lost, doubled, miscounted or left unsettled, and no process survives.

bench/chaos is the long form.
"""

import random
import time
from pathlib import Path

import pytest

from queue_workers import nemesis
from queue_workers.chaos import Load, Result, run
from queue_workers.chaos_sites import COMBINATIONS
from queue_workers.nemesis import Missed, Nemesis, locked_file
from queue_workers.rig import Rig, lives
from servers.places import passable_directory

SEED = 20261124


def _expect_good(rig: Rig, result: Result) -> None:
    assert result.findings.all() == []
    assert not any(lives(pid) for pid in rig.marked()), "a process survived"
    assert result.cut_off > 0, "the first harm cuts off a job for sure"


def test_under_faults_nothing_is_lost_doubled_or_left(rig: Rig, tmp_path: Path) -> None:
    load = Load(jobs=300, faults=8, pause_s=0.3, seed=SEED, notes=tmp_path / "notes")
    result = run(rig, load, {"database locked": locked_file(tmp_path / "dispatch.sqlite3")})
    _expect_good(rig, result)
    assert result.faults.total() == 8


@pytest.mark.parametrize("combination", ["rabbitmq+postgresql", "rabbitmq+mariadb"])
def test_under_faults_of_servers_nothing_is_lost_doubled_or_left(combination: str) -> None:
    with passable_directory() as place, COMBINATIONS[combination](place) as (rig, harms):
        chosen = {name: harms[name] for name in ("database killed", "broker killed", "database connections cut")}
        load = Load(jobs=120, faults=4, pause_s=0.2, seed=SEED, notes=place / "notes")
        result = run(rig, load, chosen, few=True)
        _expect_good(rig, result)
        assert set(result.faults) == {*chosen, "parent killed"}


def test_harm_that_meets_nothing_is_not_counted_and_other_harm_lasts_its_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise Missed

    ended: list[float] = []
    monkeypatch.setattr(nemesis, "MEETS_S", 0.1)
    luck = random.Random(SEED)  # noqa: S311 repeatable on purpose
    harms = {"nothing there": missing, "lasting": lambda: lambda: ended.append(time.monotonic())}
    tested = Nemesis(rig, luck, harms, few=True)
    for _ in range(6):
        begun = time.monotonic()
        tested.harm(0.2)
        tested.heal()  # as an enqueue that met the harm has it healed
        assert all(at - begun >= 0.2 for at in ended[-1:] if at > begun)
    tested.end()
    assert tested.done == {"parent killed": 3, "lasting": 3}
    assert len(ended) == 3
