"""What a message is split into: numbers, items, or the lines of a spooled file."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

from central_dispatch.jobs.job import MAX_PAYLOAD_BYTES
from central_dispatch.jobs.numbers import Numbers
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker_manager.spool import open_spooled


class BadSource(Exception):
    """No job can be made of it, now or later. Its text begins with the payload's field."""


class Children(Protocol):
    """An ordered, countable source of payloads that is the same at every attempt."""

    total: int
    says: str  # what it is made from, for people
    source: str  # its checksum where it could change, else ""

    def payloads(self, start: int) -> Iterator[dict[str, Any]]:
        """Return the payloads from number `start` on."""

    def check(self) -> None:
        """Raise `BadSource` where it changed while its payloads were read."""

    def close(self) -> None:
        """Close what is open of it."""


class _Unchanging:
    """A source that is in the payload itself."""

    source = ""

    def check(self) -> None:
        """Do nothing: a payload does not change."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Range(_Unchanging):
    """One payload for each number, under a key."""

    def __init__(self, name: str, numbers: Numbers) -> None:
        self._name = name
        self._numbers = numbers
        self.total = len(numbers)
        first, last = numbers.ranges[0][0], numbers.ranges[-1][1]
        self.says = f"{name} {first}" if first == last else f"{name} from {first} to {last}"

    def payloads(self, start: int) -> Iterator[dict[str, Any]]:
        """Return the payloads from number `start` on."""
        return ({self._name: number} for number in self._numbers.from_index(start))


class Items(_Unchanging):
    """Payloads that the message holds."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self._items = items
        self.total = len(items)
        self.says = "items of its message"

    def payloads(self, start: int) -> Iterator[dict[str, Any]]:
        """Return the payloads from number `start` on."""
        return iter(self._items[start:])


class Lines(_Unchanging):
    """One payload for each line of a file. All of it is read and checked before the first job is made."""

    def __init__(self, name: str, most: int) -> None:
        found = open_spooled(name)
        if isinstance(found, Problem):
            raise BadSource(f"file: {found}")
        self._file: BinaryIO = found
        self._name = name
        self.says = f"lines of {name}"
        self._read = hashlib.sha256()
        try:
            self.total = self._count(most)
        except BaseException:
            found.close()
            raise
        self.source = self._read.hexdigest()

    def _count(self, most: int) -> int:
        total = sum(1 for _ in self._lines())
        if total > most:
            raise BadSource(f"file: {self._name} has {total} lines, {most} are the most")
        return total

    def payloads(self, start: int) -> Iterator[dict[str, Any]]:
        """Return the payloads from number `start` on."""
        self._file.seek(0)
        self._read = hashlib.sha256()
        for number, payload in enumerate(self._lines()):
            if number >= start:
                yield payload

    def check(self) -> None:
        """Raise `BadSource` where the file changed while it was read."""
        if self._read.hexdigest() != self.source:
            raise BadSource(f"file: {self._name} was changed while it was split: look at what the batch holds")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _lines(self) -> Iterator[dict[str, Any]]:
        number = 0
        while line := self._file.readline(MAX_PAYLOAD_BYTES + 2):
            number += 1
            self._read.update(line)
            if len(line) > MAX_PAYLOAD_BYTES + 1:
                raise BadSource(f"file: line {number} of {self._name} is longer than {MAX_PAYLOAD_BYTES} bytes")
            try:
                payload = json.loads(line)
            except ValueError as error:
                raise BadSource(f"file: line {number} of {self._name} is no JSON: {error}") from None
            if not isinstance(payload, dict):
                raise BadSource(f"file: line {number} of {self._name} is no JSON object")
            yield payload
