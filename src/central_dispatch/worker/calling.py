"""Calls a handler and turns whatever happens into an answer. Runs in a child only."""

import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from central_dispatch.jobs.handling import Attempt, TakeLocks
from central_dispatch.jobs.job import MAX_ERROR_CHARACTERS
from central_dispatch.jobs.masking import shown_text
from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.worker import answers
from central_dispatch.worker.cuts import shown_start

Handler = Callable[[Mapping[str, Any], Attempt], Outcome]
Report = Callable[[float, str], None]
#: A result is for pages; what is larger belongs into a file or the library.
MAX_RESULT_BYTES = 64 << 10
_TRACEBACK = 8 << 10
#: A full disk is nobody's fault, and would use up every job's attempts within a minute; how long such a job waits,
#: in seconds. One that fills the disk itself ends when it was deferred too often.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_ROOM_S = 10.0
_loaded: dict[str, Handler] = {}


class NoDirectory(Exception):
    """The work directory cannot be made (a full disk): nobody's fault, so the job comes back later, uncounted."""


class LazyAttempt(Attempt):
    """An attempt whose directory is made when it is first asked for: most small jobs never do, and it costs."""

    __slots__ = ("_directory", "is_made")
    _directory: Path
    is_made: bool

    def __init__(
        self, job: int, fence: int, number: int, directory: Path, report: Report, stopping: Callable[[], bool],
        lock: TakeLocks,
    ) -> None:  # fmt: skip
        values = {"job": job, "fence": fence, "number": number, "report": report, "stopping": stopping, "lock": lock}
        for name, value in {**values, "_directory": directory, "is_made": False}.items():
            object.__setattr__(self, name, value)

    @property
    def directory(self) -> Path:
        """Return the execution's own directory, which is the current one from then on."""
        made = self._directory
        if not self.is_made:
            try:
                made.mkdir(parents=True)
                os.chdir(made)
            except OSError as error:
                raise NoDirectory(f"the work directory {made} cannot be made: {error.strerror}") from error
            object.__setattr__(self, "is_made", True)
        return made


def call(path: str, payload: Mapping[str, Any], attempt: Attempt, secrets: Collection[str] = ()) -> dict[str, Any]:
    """Run the handler `module:function`; returns its outcome as it travels. SIGTERM's exception passes through.

    Texts are cut here, so `secrets` are masked in them before.
    """
    try:
        outcome = _load(path)(payload, attempt)
    except NoDirectory as error:
        return answers.to_json(Deferred(str(error), _ROOM_S))
    except MemoryError:
        return answers.to_json(Crashed("the memory is exhausted (MemoryError)"))
    except SystemExit as error:
        said = shown_start(f"the handler called exit({error.code!r})", secrets, MAX_ERROR_CHARACTERS)
        return answers.to_json(Crashed(said))
    except OSError as error:
        print_traceback(secrets)
        found = _no_room(error, secrets) if error.errno in _FULL else Failed(last_line(error, secrets))
        return answers.to_json(found)
    except Exception as error:  # noqa: BLE001 whatever a handler raises is its failure, not the child's
        print_traceback(secrets)
        return answers.to_json(Failed(last_line(error, secrets)))
    return _checked(outcome, secrets)


def _no_room(error: OSError, secrets: Collection[str]) -> Deferred:
    said = f"the disk is full: free space on it, the job is tried again. {last_line(error, secrets)}"
    return Deferred(shown_start(said, secrets, MAX_ERROR_CHARACTERS), _ROOM_S)


def last_line(error: BaseException, secrets: Collection[str] = ()) -> str:
    """Return what went wrong and where, on one line, these secrets masked."""
    said = "".join(traceback.format_exception_only(error)).strip().splitlines()
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""  # noqa: PTH119 a name to print
    return shown_start(said[-1] if said else type(error).__name__, secrets, MAX_ERROR_CHARACTERS - len(where)) + where


def _load(path: str) -> Handler:
    if path not in _loaded:
        module, _, name = path.partition(":")
        _loaded[path] = getattr(import_module(module), name)
    return _loaded[path]


def _checked(outcome: object, secrets: Collection[str]) -> dict[str, Any]:
    if not isinstance(outcome, Done | Failed | Deferred | Crashed | Stopped | Released):
        said = f"the handler returned {type(outcome).__name__} where an outcome belongs"
        return answers.to_json(Failed(said, retryable=False))
    answer = answers.to_json(outcome)
    for name in ("error", "why", "by"):
        if isinstance(answer.get(name), str):
            answer[name] = shown_start(answer[name], secrets, MAX_ERROR_CHARACTERS)
    try:
        # As strict as the databases are: no NaN, no lone surrogate.
        size = len(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        return answers.to_json(Failed(f"the result is no JSON: {error}", retryable=False))
    if size > MAX_RESULT_BYTES:
        said = f"the result has {size} bytes; {MAX_RESULT_BYTES} are the most: put it into a file"
        return answers.to_json(Failed(said, retryable=False))
    return answer


def print_traceback(secrets: Collection[str] = ()) -> None:
    """Print the exception at hand where the job prints, if the handler left anything to print to."""
    text = traceback.format_exc()
    if len(text) > 2 * _TRACEBACK:
        # A job's output is read slowly once it floods, and an error can hold a whole file.
        text = shown_text(text, secrets)
        text = f"{text[:_TRACEBACK]}\n[...]\n{text[-_TRACEBACK:]}"
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
