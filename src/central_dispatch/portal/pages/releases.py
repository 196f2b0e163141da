"""The order of releases."""

import re
from collections.abc import Iterable


def newest_first(releases: Iterable[str]) -> list[str]:
    """Return releases by their numbers, highest first: 6.10 before 6.9."""
    return sorted(releases, key=lambda name: [int(part) for part in re.findall(r"\d+", name)], reverse=True)
