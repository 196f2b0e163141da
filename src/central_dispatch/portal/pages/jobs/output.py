"""Captured output as text that is safe to show: no control sequences, and only its end where it is long."""

import re

#: Characters that a page shows of one execution; the end, as errors come last.
SHOWN = 60_000
_SEQUENCE = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # a title, a link
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # device strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, the cursor
    r"|\x1b[ -/]*[0-~]?"
)
# Controls but for tab and line feed, and what turns the direction of text or is not seen at all.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


def readable(output: bytes) -> str:
    """Return the text as a terminal would have left it: of a line that was drawn anew, its last form."""
    text = _SEQUENCE.sub("", output.decode(errors="replace").replace("\r\n", "\n"))
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROL.sub("", "\n".join(lines))


def end_of(text: str, shown: int = SHOWN) -> tuple[str, bool]:
    """Return the last characters, from the beginning of a line on where there is one, and whether some are missing."""
    if len(text) <= shown:
        return text, False
    cut = text[-shown:]
    _, newline, rest = cut.partition("\n")
    return (rest if newline else cut), True
