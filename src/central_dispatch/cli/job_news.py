"""What is new of a job from one look to the next: output, progress, states. Pure."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: So much of what was shown is looked for again where the middle of an output was left out since.
_OVERLAP = 256
_new_decoder = codecs.getincrementaldecoder("utf-8")
_OPEN = {"waiting", "running"}
_LABELS = {"finished": "Finished", "in_error": "In error", "interrupted": "Interrupted"}


@dataclass(frozen=True, slots=True)
class Look:
    """A job at one moment; `output` is all that its last execution printed so far."""

    state: str
    waiting_for: str
    due_at: datetime | None
    attempts: int
    deferrals: int
    fence: int
    percent: float | None
    words: str
    error: str
    output: bytes = b""

    @property
    def is_over(self) -> bool:
        """Say whether nothing more will come."""
        return self.state not in _OPEN


@dataclass(frozen=True, slots=True)
class News:
    """One thing that was not known before: a line of JSON, or a sentence; `text` is a piece of output."""

    event: str
    values: dict[str, Any]
    sentence: str = ""
    text: str = ""


@dataclass(slots=True)
class Tail:
    """Tells what is new from one look to the next. Pure."""

    _last: Look | None = None
    _shown: bytes = b""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def news(self, look: Look) -> Iterator[News]:
        """Return what a look brings: output first, as it came before the state changed."""
        last, self._last = self._last, look
        if last is not None and last.fence == look.fence:
            yield from self.printed(look.output)
        if last is None or _place(last) != _place(look):
            yield _state(look)
        if last is None or last.fence != look.fence:
            self._shown = b""
            self._decoder.reset()
            yield from self.printed(look.output)
        progress = look.percent, look.words
        if look.percent is not None and (last is None or progress != (last.percent, last.words)):
            yield News(
                "progress", {"percent": look.percent, "words": look.words}, f"{look.percent:3.0f} % {look.words}"
            )

    def printed(self, output: bytes) -> Iterator[News]:
        """Return what an execution printed beyond what was shown of it."""
        new = _beyond(self._shown, output)
        self._shown = output
        if text := self._decoder.decode(new):
            yield News("output", {"text": text}, text=text)


def _beyond(shown: bytes, output: bytes) -> bytes:
    if output.startswith(shown):
        return output[len(shown) :]
    # Too much to be kept: its middle is left out now. Go on after what was shown last, if that is still there.
    _, found, rest = output.rpartition(shown[-_OVERLAP:])
    return rest if found else b"\n[...]\n" + output[-4 * _OVERLAP :]


def _place(look: Look) -> tuple[object, ...]:
    due_at = look.due_at if look.state == "waiting" else None
    return look.state, look.fence, look.attempts, look.deferrals, due_at


def _state(look: Look) -> News:
    values: dict[str, Any] = {"state": look.state, "attempts": look.attempts, "execution": look.fence}
    if look.state == "waiting":
        values |= {"waiting_for": look.waiting_for, "due_at": look.due_at, "error": look.error}
        why = f": {look.error}" if look.error and look.waiting_for != "new" else ""
        what = {"retry": "waits for its next attempt", "deferred": "was deferred"}.get(look.waiting_for, "waits")
        until = f", due {look.due_at:%Y-%m-%d %H:%M:%S} UTC" if look.due_at else ""
        return News("state", values, f"It {what}{until}{why}.")
    if look.state == "running":
        return News("state", values, f"It runs, attempt {look.attempts + 1}.")
    if look.error:
        values["error"] = look.error
    return News("state", values, f"{_LABELS[look.state]}{f': {look.error}' if look.error else ''}.")
