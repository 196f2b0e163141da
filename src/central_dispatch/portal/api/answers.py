"""How the API answers: pages of a list, and refusals as problem documents."""

from collections.abc import Callable
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from ninja import Schema
from pydantic import Field

from central_dispatch.fleet.refusal import Refused
from central_dispatch.portal.api.schemas import ProblemDocument

#: The answers that every endpoint may give besides its own.
PROBLEMS = dict.fromkeys((400, 401, 403, 404, 409, 413, 422), ProblemDocument)
Row = TypeVar("Row", bound=Model)
Shown = TypeVar("Shown")
Done = TypeVar("Done")


class Page(Schema, Generic[Shown]):
    """One page of a list. `count` is the length of the whole list."""

    items: list[Shown]
    count: int
    limit: int
    offset: int


class Paging(Schema):
    """Which part of a list is wanted."""

    limit: int = Field(default=50, ge=1, le=500)
    offset: int = Field(default=0, ge=0, le=1_000_000)


class RefusedError(Exception):
    """Carries a service's refusal to the one place that makes a response of it."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.refused = refused


def page(rows: "QuerySet[Row]", paging: Paging, show: Callable[[Row], Shown]) -> "Page[Shown]":
    """Return the wanted part of a list."""
    shown = [show(row) for row in rows[paging.offset : paging.offset + paging.limit]]
    return Page(items=shown, count=rows.count(), limit=paging.limit, offset=paging.offset)


def done(answer: Done | Refused) -> Done:
    """Return what a service did; a refusal becomes the answer of the endpoint."""
    if isinstance(answer, Refused):
        raise RefusedError(answer)
    return answer
