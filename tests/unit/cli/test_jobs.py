"""`job` and `worker run-service` on what people really give them: lists that go on, payloads that are none, times."""

import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from django.db import transaction

from central_dispatch import cli
from central_dispatch.cli import exit_codes, main, worker_execute
from central_dispatch.cli.moments import moment
from central_dispatch.fleet.home import dispatcher_directory, write_private
from central_dispatch.jobs.job import MAX_PAYLOAD_BYTES, NewJob
from central_dispatch.worker_manager import bells, enqueueing, job_search
from central_dispatch.worker_manager.models import Job

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def call(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, [*arguments], input=stdin)


@pytest.fixture(autouse=True)
def dispatcher(database: Path) -> Iterator[None]:  # noqa: ARG001 it must be there
    """A dispatcher; tests after these find none again, since that is looked at once per process."""
    write_private(dispatcher_directory() / "secret-key", b"k")
    yield
    sys.modules.pop("central_dispatch.cli.dispatcher", None)
    vars(cli).pop("dispatcher", None)


@pytest.fixture
def jobs() -> list[int]:
    """Six jobs, newest first; the oldest one is in error."""
    with transaction.atomic():
        made = enqueueing.enqueue([NewJob(kind="housekeeping", payload={}) for _ in range(6)])
    numbers = sorted(number for number in made if number is not None)
    Job.objects.filter(pk=numbers[0]).update(state="finished", ended_at=NOW)
    return numbers[::-1]


def test_a_search_that_stopped_early_says_so_to_programs_too_and_goes_on_where_it_stopped(
    jobs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "LOOK", 3)
    asked = ("job", "list", "--state", "finished")
    for further in ((), ("--json",)):
        stopped = call(*asked, *further)
        assert f"--after {jobs[3]}" in stopped.output
        assert "There is no" not in stopped.output
    assert json.loads(stopped.stdout) == []
    assert [one["id"] for one in json.loads(call(*asked, "--after", str(jobs[3]), "--json").stdout)] == [jobs[-1]]


@pytest.mark.parametrize("order", [("--order", "started"), ("--batch", "1")])
def test_a_list_cannot_go_on_after_a_job_that_has_no_place_in_it(jobs: list[int], order: tuple[str, str]) -> None:
    refused = call("job", "list", *order, "--after", str(jobs[0]))
    assert refused.exit_code == exit_codes.FAILED
    assert f"Job {jobs[0]} is not in this list" in refused.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{" + b" " * MAX_PAYLOAD_BYTES + b"}", "is larger than"),
        (b"[" * 100_000, "holds no JSON"),
        (b"\xff", "holds no JSON"),
        (b"", "holds no JSON"),
        (b"[1]", "holds no JSON object"),
    ],
)
def test_what_is_no_payload_is_said_however_it_is_given(text: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_bytes(text)
    for given in ("-", str(tmp_path / "payload.json")):
        refused = call("job", "enqueue", "housekeeping", given, stdin=text)
        assert refused.exit_code == exit_codes.FAILED, refused.exception
        assert f"{'Standard input' if given == '-' else given} {says}" in refused.stderr
    assert not Job.objects.exists()


def test_the_largest_payload_that_there_may_be_is_read() -> None:
    text = json.dumps({"x": "x" * (MAX_PAYLOAD_BYTES - 9)}).encode()
    assert len(text) == MAX_PAYLOAD_BYTES
    assert call("job", "enqueue", "housekeeping", "-", stdin=text).exit_code == 0


def test_no_more_of_a_file_is_read_than_a_payload_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = io.BytesIO(b"x" * (4 * MAX_PAYLOAD_BYTES))
    monkeypatch.setattr(worker_execute.click, "open_file", lambda *_: endless)
    with pytest.raises(worker_execute.screen.Stop, match="is larger than"):
        worker_execute.read_payload(Path("/dev/zero"))


def test_a_payload_that_cannot_be_removed_is_said_and_the_job_is_finished(
    jobs: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_path: Path, *, missing_ok: bool = False) -> None:  # noqa: ARG001 unlink's own
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(worker_execute.screen, "wants_json", lambda: True)
    worker_execute._show_ended(jobs[-1], Path("/root/payload.json"))
    shown = capsys.readouterr()
    assert json.loads(shown.out)["id"] == jobs[-1]
    assert shown.err == "/root/payload.json cannot be removed: Permission denied\n"


@pytest.mark.parametrize("text", ["999999d", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "9999-99-99"])
def test_a_time_beyond_all_time_is_no_time(text: str) -> None:
    assert moment(text, NOW) is None
    refused = call("job", "list", "--since", text)
    assert refused.exit_code == exit_codes.USAGE
    assert "is no time" in refused.stderr


def test_a_command_closes_the_broker_that_it_rang_with_and_the_next_one_opens_another() -> None:
    for _ in range(2):
        assert call("job", "enqueue", "housekeeping").exit_code == 0
        assert not bells._opened


def test_a_time_is_written_for_programs_in_one_way_only(jobs: list[int]) -> None:
    number = str(jobs[0])
    told = [json.loads(line) for line in call("job", "tail", number, "--json").stdout.splitlines()]
    shown = json.loads(call("job", "show", number, "--json").stdout)
    assert [one["due_at"] for one in told if "due_at" in one] == [shown["due_at"]]
