"""Paging of HTML lists: numbers in the address, as many rows as fit a screen."""

from typing import TypeVar

from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

ROWS = 50
M = TypeVar("M", bound=Model)


def page_of(request: HttpRequest, rows: QuerySet[M]) -> Page[M]:
    """The page that the address asks for; a number out of range gives the nearest."""
    return Paginator(rows, ROWS).get_page(request.GET.get("page"))


def rest_of_query(request: HttpRequest) -> str:
    """The query without the page, to be put before another page's number."""
    query = request.GET.copy()
    query.pop("page", None)
    return f"{query.urlencode()}&" if query else ""
