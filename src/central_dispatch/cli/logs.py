"""The log on standard error: lines for people, or one JSON object a line, with what it is about in fields."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import click

FORMATS = ("text", "json")
#: What a line may be about, beside its message.
FIELDS = ("job", "kind", "queue", "fence", "parent", "schedule", "assignment")
option = click.option(
    "--log-format", type=click.Choice(FORMATS), default="text", show_default=True, help="Form of the log's lines."
)


def configure(form: str, level: int = logging.INFO) -> None:
    """Write the log to standard error from now on, whoever logged before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def reformat(form: str) -> None:
    """Give the handlers that are there this form: Django set them up, with the levels of its loggers."""
    for handler in logging.root.handlers:
        handler.setFormatter(formatter(form))


def formatter(form: str) -> logging.Formatter:
    """Return the formatter of that name."""
    return JsonLines() if form == "json" else TextLines()


class TextLines(logging.Formatter):
    """Time, level, message, then what it is about as NAME=VALUE."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 the library's name
        """Return the line without its traceback."""
        fields = "".join(f" {name}={value}" for name, value in about(record).items())
        return f"{super().formatMessage(record)}{fields}"


class JsonLines(logging.Formatter):
    """One object a line; a traceback is a string in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **about(record),
            "logger": record.name,
            "process": record.process,
            "thread": record.threadName,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def about(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields that the line was given."""
    return {name: getattr(record, name) for name in FIELDS if getattr(record, name, None) is not None}
