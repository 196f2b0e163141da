"""Settings changed at random under load: each is effective, no worker starts again, no channel is closed by an error.

`SETTINGS_CHANGES` says how many (a short run by default; 1,000 and their times: bench/settings).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from queue_workers.rig import Rig
from queue_workers.settings_storm import Storm
from servers.rabbitmq import shared_node

CHANGES = int(os.environ.get("SETTINGS_CHANGES", "60"))


@pytest.fixture(params=["embedded", "rabbitmq"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, "sqlite", request.param)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(60 + CHANGES * 2)
def test_every_change_is_effective_and_nothing_starts_again_or_breaks(site: Rig) -> None:
    node_log = shared_node().log if site.broker_name == "rabbitmq" else None
    before = node_log.stat().st_size if node_log else 0
    workers = [site.start(slots=8), site.start(slots=8)]
    made = Storm(site, CHANGES, seed=9).run()
    assert len(made) >= CHANGES
    assert {change.setting for change in made} == {
        "retry_delay_s",
        "retention_h",
        "deferral_delay_s",
        "paused",
        "concurrency",
        "time_limit_s",
    }
    assert [change for change in made if change.seconds is None] == []
    assert [worker.process.poll() for worker in workers] == [None, None]
    assert {row["pid"] for row in site.rows("SELECT pid FROM job_parent")} == {one.process.pid for one in workers}
    said = "".join(worker.log.read_text(encoding="utf-8") for worker in workers)
    assert "Traceback" not in said
    assert "fork server ended" not in said
    if node_log:
        with node_log.open("rb") as log:
            log.seek(before)
            assert b"channel exception" not in log.read()


def test_a_pause_without_effect_would_be_found(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storm itself is tested: a store that forgets pauses, and keeps every other setting."""
    change = rig.store.change_settings

    def forgetful(queue: str, values: Mapping[str, Any]) -> None:
        if kept := {name: value for name, value in values.items() if name != "paused"}:
            change(queue, kept)

    monkeypatch.setattr(rig.store, "change_settings", forgetful)
    rig.start(slots=8)
    made = Storm(rig, 20, seed=9).run()
    pauses = {change.seconds for change in made if change.setting == "paused" and change.value}
    assert pauses == {None}
    assert {change.setting for change in made if change.seconds is None} == {"paused"}
