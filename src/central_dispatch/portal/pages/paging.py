"""Pages of long lists."""

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Paged:
    """One page of a list, with the addresses of its neighbours (empty: none)."""

    page: Page[Any]
    earlier: str
    later: str


def paged(request: HttpRequest, rows: QuerySet[Any], size: int = PAGE_SIZE) -> Paged:
    """Return the page that the address asks for; one that does not exist becomes the nearest that does."""
    page = Paginator(rows, size).get_page(request.GET.get("page"))

    def address(number: int) -> str:
        query = request.GET.copy()
        query["page"] = str(number)
        return f"{request.path}?{query.urlencode()}"

    return Paged(
        page,
        address(page.previous_page_number()) if page.has_previous() else "",
        address(page.next_page_number()) if page.has_next() else "",
    )
