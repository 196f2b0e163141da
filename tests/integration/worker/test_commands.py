"""The queue worker and its verbs as people call them, with a dispatcher's real files."""

from pathlib import Path

from dispatchers.fixtures import migrated
from dispatchers.job_commands import call, home
from queue_workers.rig import write_configuration
from servers.amqp import Stranger
from servers.rabbitmq import shared_node

__all__ = ["home", "migrated"]


def test_housekeeping_runs_by_its_schedule_once_and_a_worker_until_empty_ends(home: Path) -> None:
    for _ in range(2):
        ended = call(home, "worker:execute", "--queue-name=house-keeping", "--max-processes", "2", "--until-empty")
        assert ended["reason"] == "empty"
    [job] = call(home, "job", "list")
    assert (job["queue"], job["state"], job["enqueued_by"]) == ("housekeeping", "finished", "schedule")
    shown = call(home, "job", "show", str(job["id"]))
    assert {"changes", "looks", "events", "dead_letters", "ended_jobs"} <= set(shown["result"])
    [queue] = [one for one in call(home, "queue", "list") if one["queue"] == "housekeeping"]
    assert queue["last_run_at"] < queue["next_run_at"]


def test_a_command_that_is_over_at_once_has_rung_at_a_rabbitmq_that_is_named_by_its_host(home: Path) -> None:
    node = shared_node()
    virtual_host = node.fresh_virtual_host()
    section = node.toml(home, virtual_host).replace("[broker]", '[broker]\nhost = "localhost"')
    write_configuration(home, section)
    job = call(home, "job", "enqueue", "housekeeping")["id"]
    assert Stranger(node.place(virtual_host)).depth("housekeeping") == 1
    call(home, "job", "cancel", str(job))


def test_an_unknown_queue_is_an_error_that_names_the_known_ones(home: Path) -> None:
    error = call(home, "worker", "execute", "--queue-name", "nothing", code=3)
    assert "housekeeping" in error["error"]["problems"][0]["mend"]


def test_without_a_dispatcher_a_worker_says_so_and_ends(tmp_path: Path) -> None:
    assert "up" in call(tmp_path, "worker", "execute", code=3)["error"]["problems"][0]["mend"]


def test_run_service_records_the_job_and_removes_the_payload_unless_told_otherwise(home: Path) -> None:
    payload = home / "payload.json"
    payload.write_text("{}", encoding="ascii")
    kept = call(home, "worker", "run-service", "housekeeping", str(payload), "--preserve-payload")
    assert payload.exists()
    removed = call(home, "worker", "run-service", "housekeeping", str(payload))
    assert not payload.exists()
    assert [one["state"] for one in (kept, removed)] == ["finished", "finished"]
    assert [one["outcome"] for one in removed["history"]] == ["done"]
    assert call(home, "job", "list")[0]["id"] == removed["id"]


def test_run_service_refuses_what_is_no_payload(home: Path) -> None:
    for text in ("[1]", "{", '{"x": "' + "x" * (257 << 10) + '"}'):
        payload = home / "payload.json"
        payload.write_text(text, encoding="ascii")
        call(home, "worker", "run-service", "housekeeping", str(payload), code=1)
        assert payload.exists()
    assert call(home, "job", "list") == []


def test_jobs_and_queues_obey_their_verbs(home: Path) -> None:
    assert call(home, "queue", "pause", "housekeeping")["paused"]
    job = call(home, "job", "enqueue", "housekeeping", "--priority", "7")["id"]
    assert call(home, "worker", "execute", "--until-empty")["executions"] == 0
    call(home, "job", "cancel", str(job), "--why", "not now")
    assert call(home, "job", "show", str(job))["state"] == "interrupted"
    call(home, "job", "retry", str(job))
    changed = call(home, "queue", "set", "housekeeping", "max_attempts=5", "period_s=")["settings"]
    assert (changed["max_attempts"], changed["period_s"]) == (5, None)
    call(home, "queue", "set", "housekeeping", "max_attempts=0", code=1)
    call(home, "queue", "set", "housekeeping", "max_attempts", code=2)
    call(home, "queue", "resume", "housekeeping")
    call(home, "worker", "execute", "--until-empty")
    assert call(home, "job", "show", str(job))["state"] == "finished"
    assert call(home, "queue", "requeue-failed", "housekeeping")["jobs"] == 0
    assert call(home, "queue", "purge", "housekeeping", "--yes")["jobs"] >= 0
    call(home, "job", "show", "4711", code=3)
    [queue] = [one for one in call(home, "worker", "show-configuration")["queues"] if one["queue"] == "housekeeping"]
    assert queue["settings"]["max_attempts"] == 5
