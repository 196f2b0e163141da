"""A handler's work directory is made when it is asked for, and a disk that is full burns no attempt."""

import errno
import os
import subprocess
import sys
import types
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from central_dispatch.jobs.handling import Attempt
from central_dispatch.jobs.outcome import Deferred, Done, Failed, Outcome
from central_dispatch.worker import answers, calling
from central_dispatch.worker.calling import LazyAttempt, call


@pytest.fixture(autouse=True)
def _come_back() -> Iterator[None]:
    before = Path.cwd()
    yield
    os.chdir(before)


def outcome_of(
    handler: Callable[[dict[str, object], Attempt], Outcome], attempt: Attempt, secrets: Collection[str] = ()
) -> Outcome:
    module = types.ModuleType("handlers_of_this_test")
    module.handle = handler  # type: ignore[attr-defined]  # made here
    sys.modules[module.__name__] = module
    path = f"{module.__name__}:handle"
    calling._loaded.pop(path, None)
    return answers.from_json(call(path, {}, attempt, secrets))


def attempt_in(directory: Path) -> LazyAttempt:
    return LazyAttempt(
        4, 7, 1, directory, lambda _percent, _words: None, lambda: False, lambda _exclusive, _shared: None
    )


def test_the_directory_is_made_when_it_is_asked_for_and_is_the_current_one_then(tmp_path: Path) -> None:
    def handle(_payload: object, attempt: Attempt) -> Outcome:
        assert attempt.directory.is_dir()
        Path("draft").write_text(str(attempt.job), encoding="ascii")
        return Done()

    attempt = attempt_in(tmp_path / "4" / "7")
    assert not attempt.is_made
    assert outcome_of(handle, attempt) == Done()
    assert attempt.is_made
    assert (tmp_path / "4" / "7" / "draft").read_text() == "4"


def test_a_handler_that_needs_none_makes_none(tmp_path: Path) -> None:
    assert outcome_of(lambda _payload, _attempt: Done(), attempt_in(tmp_path / "4" / "7")) == Done()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_defers_the_job(tmp_path: Path) -> None:
    (tmp_path / "4").write_text("in the way", encoding="ascii")
    found = outcome_of(lambda _payload, attempt: Done({"at": str(attempt.directory)}), attempt_in(tmp_path / "4" / "7"))
    assert isinstance(found, Deferred)
    assert "cannot be made" in found.why


def test_the_parents_modules_import_no_django() -> None:
    code = (
        "import sys, central_dispatch.worker.execute, central_dispatch.stores.places, central_dispatch.brokers.places,"
        "central_dispatch.cli.worker_execute; print('django' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_full_disk_defers_a_job_and_another_fault_of_a_file_fails_it(tmp_path: Path) -> None:
    def write(_payload: object, _attempt: Attempt) -> Outcome:
        raise OSError(errno.ENOSPC, "No space left on device", "/work/x")

    def enter(_payload: object, _attempt: Attempt) -> Outcome:
        raise PermissionError(errno.EACCES, "Permission denied", "/work/x")

    found = outcome_of(write, attempt_in(tmp_path))
    assert isinstance(found, Deferred)
    assert "free space on it" in found.why
    assert isinstance(outcome_of(enter, attempt_in(tmp_path)), Failed)


SECRET = "hunter22-and-more"


@pytest.mark.parametrize("before", [3900, 3960, 3975, 3985, 4000, 8180, 8190])
def test_no_part_of_a_secret_is_left_where_a_text_is_cut(
    tmp_path: Path, before: int, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "." * before + SECRET + "." * 20_000

    def fail(_payload: object, _attempt: Attempt) -> Outcome:
        return Failed(text)

    def error(_payload: object, _attempt: Attempt) -> Outcome:
        raise LookupError(text)

    def full(_payload: object, _attempt: Attempt) -> Outcome:
        raise OSError(errno.ENOSPC, text)

    def leave(_payload: object, _attempt: Attempt) -> Outcome:
        sys.exit(text)

    for handler in (fail, error, full, leave):
        said = str(outcome_of(handler, attempt_in(tmp_path), {SECRET}))
        assert "hunter" not in said
        assert len(said) < 4200
    printed = capsys.readouterr().err
    assert "[...]" in printed
    assert "hunter" not in printed
