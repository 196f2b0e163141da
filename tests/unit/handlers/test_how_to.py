"""The how-to's example of a handler does what the page says of it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from central_dispatch.jobs.handling import Attempt
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.outcome import Deferred, Done, Failed, Released
from central_dispatch.jobs.queue_settings import QueueSettings

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "add-a-kind-of-job.md"
BUSY = Deferred("record:7 is locked by job 3", waits_on="record:7")


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def handler() -> ModuleType:
    module = ModuleType("make_report")
    exec(compile(blocks()[0], str(PAGE), "exec"), module.__dict__)  # noqa: S102 our own page
    return module


class Site:
    """What a handler is given, and what it did with it."""

    def __init__(self, directory: Path) -> None:
        self.work, self.target = directory / "work", directory / "report"
        self.work.mkdir()
        self.locked: list[str] = []
        self.words: list[str] = []

    def attempt(self, stopping: Callable[[], bool] = lambda: False, busy: Deferred | None = None) -> Attempt:
        def lock(exclusive: Sequence[str] = (), shared: Sequence[str] = ()) -> Deferred | None:
            self.locked += [*exclusive, *shared]
            return busy

        return Attempt(1, 1, 1, self.work, lambda _percent, words: self.words.append(words), stopping, lock)

    @property
    def payload(self) -> dict[str, object]:
        return {"record": 7, "numbers": [4, 2], "target": str(self.target)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_example_locks_reports_and_publishes_whole(handler: ModuleType, site: Site) -> None:
    assert handler.handle(site.payload, site.attempt()) == Done({"lines": 2})
    assert site.target.read_text() == "4\n2\n"
    assert (site.locked, site.words) == (["record:7"], ["0 of 2 numbers", "1 of 2 numbers"])
    assert list(site.work.iterdir()) == []


def test_the_example_leaves_nothing_when_it_is_locked_stopped_or_wrongly_asked(handler: ModuleType, site: Site) -> None:
    assert handler.handle(site.payload, site.attempt(busy=BUSY)) == BUSY
    assert handler.handle(site.payload, site.attempt(stopping=lambda: True)) == Released()
    assert handler.handle({}, site.attempt()) == Failed("record: give its number", retryable=False)
    assert not site.target.exists()


def test_the_examples_row_is_a_kind() -> None:
    kind = eval(blocks()[1], {"Kind": Kind, "QueueSettings": QueueSettings})  # noqa: S307 our own page
    assert kind.handler.split(":")[1] == "handle"
    assert not kind.defaults.problems()
