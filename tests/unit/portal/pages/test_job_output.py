"""Captured output is shown as a terminal would have left it, and can do nothing to the page or its reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.portal.pages.jobs.output import end_of, readable


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (b"one\r\ntwo\n", "one\ntwo\n"),
        (b"\x1b[31mred\x1b[0m and \x1b[1;4mbold\x1b[m", "red and bold"),
        (b"\x1b]0;a title\x07text \x1b]8;;https://elsewhere.example/\x1b\\link\x1b]8;;\x1b\\", "text link"),
        (b"10 %\r50 %\r100 %\ndone", "100 %\ndone"),
        (b"50 %\r\r\n", "50 %\n"),
        (b"a\x00b\x07c\x08d\x7fe", "abcde"),
        ("invoice\u202efdp.exe".encode(), "invoicefdp.exe"),
        (b"caf\xc3\xa9 \xff", "café \ufffd"),
        (b"\x1b[2J\x1b[Hcleared\x1bc", "cleared"),
        (b"cut \x1b[3", "cut "),
        ("\x9b31mred".encode(), "red"),
        (b"a\tb", "a\tb"),
    ],
)
def test_control_sequences_are_gone_and_the_text_stays(output: bytes, text: str) -> None:
    assert readable(output) == text


@given(st.binary(max_size=300))
def test_nothing_invisible_is_left_of_any_output(output: bytes) -> None:
    text = readable(output)
    assert all(character in "\t\n" or (character >= " " and not "\x7f" <= character <= "\x9f") for character in text)


def test_of_a_long_output_the_end_is_shown_from_a_line_on() -> None:
    text = "\n".join(f"line {n}" for n in range(1000))
    shown, cut = end_of(text, 100)
    assert cut
    assert shown.endswith("line 999")
    assert shown.startswith("line ")
    assert len(shown) <= 100
    assert end_of("short", 100) == ("short", False)
    assert end_of("x" * 500, 100) == ("x" * 100, True)
