"""The database, or RabbitMQ, is away under load for some seconds; bench/away does the same for ten minutes."""

from pathlib import Path

from queue_workers.outage import Outage, run
from queue_workers.rig import Rig
from servers.job_databases import started
from servers.places import passable_directory
from servers.rabbitmq import Node


def test_without_its_database_nothing_is_burnt_or_run_twice_and_all_of_it_is_settled_later() -> None:
    with passable_directory() as place:
        server = started("postgresql", place, durable=True)
        home = place / "home"
        home.mkdir(mode=0o700)
        rig = Rig(home, "postgresql", server=server)
        try:
            outage = Outage(stop=server.stop, start=server.start, away_s=3, jobs=80, notes=place / "notes")
            result = run(rig, outage)
        finally:
            rig.close()
            server.stop()
    assert result.findings.all() == []
    assert (result.burnt, result.repeated) == (0, 0)


def test_without_rabbitmq_the_work_goes_on(tmp_path: Path) -> None:
    with Node(tmp_path / "node") as node:
        rig = Rig(tmp_path, "sqlite", "rabbitmq", node=node)
        try:
            outage = Outage(stop=node.stop, start=node.start, away_s=3, jobs=80, notes=tmp_path / "notes")
            result = run(rig, outage)
        finally:
            rig.close()
    assert result.findings.all() == []
    assert (result.burnt, result.repeated) == (0, 0)
    assert result.during > 20, "what was enqueued while it was away was done meanwhile"
