"""The page of known failures names tests and benchmarks: each of them is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "known-failures-of-job-engines.md").read_text(encoding="utf-8")
FILES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}


def defined_in(text: str) -> set[str]:
    return set(re.findall(r"def (test_\w+)", text))


def test_each_test_that_the_page_of_known_failures_names_exists() -> None:
    named = set(re.findall(r"\btest_\w+\b(?!\.py)", PAGE))
    there = {name for text in FILES.values() for name in defined_in(text)}
    assert len(named) > 60
    assert sorted(named - there) == []


def test_each_file_that_it_names_exists_and_has_the_test_that_is_named_with_it() -> None:
    named = re.findall(r"((?:\w+/)*test_\w+\.py)(?:::(test_\w+))?", PAGE)
    assert len(named) > 4
    for file, test in named:
        texts = [text for path, text in FILES.items() if path.as_posix().endswith("/" + file)]
        assert len(texts) == 1, file
        assert not test or test in defined_in(texts[0]), (file, test)


def test_each_benchmark_that_it_names_exists() -> None:
    named = set(re.findall(r"\bbench/(\w+)", PAGE))
    assert named
    assert sorted(name for name in named if not (ROOT / "bench" / name).is_file()) == []
