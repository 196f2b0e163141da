"""Sets of numbers as people write them: `1-100000,200007`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PIECE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Ranges, both ends included, in order, none of which touches another."""

    ranges: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def from_index(self, index: int) -> Iterator[int]:
        """Return the numbers in order, without the first `index` of them."""
        for first, last in self.ranges:
            amount = last - first + 1
            if index < amount:
                yield from range(first + index, last + 1)
            index = max(0, index - amount)


def parse_numbers(text: str) -> Numbers:
    """Read numbers and ranges between commas; each number counts once. `ValueError` says what cannot be read."""
    pieces = sorted(_piece(part.strip()) for part in text.split(","))
    joined: list[tuple[int, int]] = []
    for first, last in pieces:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return Numbers(tuple(joined))


def _piece(part: str) -> tuple[int, int]:
    found = _PIECE.fullmatch(part)
    if found is None:
        raise ValueError(f"“{part[:40]}” is no number and no range: write 7 or 1-100, with commas between")
    first, last = int(found[1]), int(found[2] or found[1])
    if last < first:
        raise ValueError(f"the range {part} ends before it begins")
    return first, last
