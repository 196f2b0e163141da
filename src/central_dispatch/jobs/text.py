"""Text that came from a job: made so that every store can keep it, and that no terminal or log is misled by it."""

import re

#: Control characters but tab and newline, and what turns the direction of writing.
_MISLEADING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
#: Whole sequences that colour, move or title: of no use once they are no longer obeyed.
_SEQUENCES = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)")


def storable(text: str, most: int) -> str:
    """Return at most so many characters that every database takes: no lone surrogate, no zero."""
    # What is written out is longer than it was.
    kept = text[: most + 1].encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def printable(text: str) -> str:
    """Return a text for a terminal: lines and tabs stay, sequences go, other control characters are written out."""
    plain = _SEQUENCES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _MISLEADING.sub(lambda found: _written(found[0]), plain)


def one_line(text: str) -> str:
    """Return a text for a log: what it says cannot begin a line of its own."""
    return printable(text).replace("\n", "\\n")


def _written(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode() if character > "\x7f" else f"\\x{ord(character):02x}"
