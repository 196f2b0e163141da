"""The log's lines, for people and for programs."""

import json
import logging
import sys

from central_dispatch.cli.logs import formatter


def record(message: str, *arguments: object, exception: bool = False, **fields: object) -> logging.LogRecord:
    information = None
    if exception:
        try:
            {}["no such thing"]
        except KeyError:
            information = sys.exc_info()
    made = logging.LogRecord("a.logger", logging.WARNING, "file.py", 1, message, arguments, information)
    vars(made).update(fields)
    return made


def test_a_line_about_a_job_has_its_fields_in_json_and_in_text() -> None:
    one = record("job %d failed", 7, job=7, kind="ftp", queue="ftp", fence=12)
    line = json.loads(formatter("json").format(one))
    assert line["message"] == "job 7 failed"
    assert (line["job"], line["kind"], line["queue"], line["fence"], line["level"]) == (7, "ftp", "ftp", 12, "warning")
    assert formatter("text").format(one).endswith("WARNING job 7 failed job=7 kind=ftp queue=ftp fence=12")


def test_one_event_is_one_line_of_json_whatever_it_says() -> None:
    text = formatter("json").format(record("a\nb “c”", exception=True, job=1))
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == "a\nb “c”"
    assert "KeyError: 'no such thing'" in line["traceback"]


def test_a_line_about_nothing_in_particular_has_no_fields() -> None:
    assert formatter("text").format(record("hello")).endswith("WARNING hello")
    assert "job" not in json.loads(formatter("json").format(record("hello")))
