"""What a job says can be kept by every store, and misleads no terminal and no log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.jobs.text import one_line, printable, storable

#: Any code point, lone surrogates and zero among them.
anything = st.text(st.characters(codec=None))  # type: ignore[arg-type]  # the stubs want a codec's name


@given(anything, st.integers(1, 40))
def test_what_is_storable_can_be_encoded_and_holds_no_zero(text: str, most: int) -> None:
    kept = storable(text, most)
    kept.encode()
    assert "\0" not in kept
    assert len(kept) <= most
    if len(text) <= most and kept.isascii() and "\\" not in kept:
        assert kept == text


@given(anything)
def test_nothing_printable_controls_a_terminal_and_no_line_of_a_log_is_begun(text: str) -> None:
    assert all(character in "\t\n" or ord(character) >= 32 for character in printable(text))
    assert not set(printable(text)) & set(map(chr, range(0x7F, 0xA0)))
    assert len(one_line(text).splitlines()) <= 1 + text.count("\x85")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;ZXZpbA==\x1b\\after", "after"),
        ("lone \x1bc", "lone \\x1bc"),
        ("10%\r20%\r\ndone\t.", "10%\n20%\ndone\t."),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b31m", "\\x9b31m"),
        ("äöü 漢字 …", "äöü 漢字 …"),
    ],
)
def test_sequences_go_and_words_stay(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    assert storable("x" * 100, 10) == "x" * 9 + "…"
    assert storable("\0" * 10, 10) == "\\0\\0\\0\\0\\…"
    assert storable("x" * 10, 10) == "x" * 10
    assert one_line("a\nb") == "a\\nb"
