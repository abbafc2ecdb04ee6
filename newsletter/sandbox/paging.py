"""Pagination of Resend's lists: `limit`, `after` and `before`.

Rules: resend.com/docs/api-reference/pagination. Lists are newest first; the cursor is the id of an object and is not
part of the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from newsletter.sandbox.exchange import Request
from newsletter.sandbox.refusals import refusal

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a table that is ordered by an ascending number; `after` and `before` are such numbers."""

    limit: int = DEFAULT_LIMIT
    after: int | None = None
    before: int | None = None

    def condition(self, column: str) -> str:
        """The end of a query: cursor, order, and a limit of one row more than the page. Contains integers only."""
        order, cursor = "DESC", ""
        if self.after is not None:
            cursor = f"AND {column} < {self.after:d} "
        if self.before is not None:
            order, cursor = "ASC", f"AND {column} > {self.before:d} "
        return f"TRUE {cursor}ORDER BY {column} {order} LIMIT {self.limit + 1:d}"

    def cut(self, rows: list[Row]) -> tuple[list[Row], bool]:
        """The page, newest first, and whether there are more rows in the direction of reading."""
        page = rows[: self.limit]
        return (page[::-1] if self.before is not None else page), len(rows) > self.limit


def read_page(request: Request, number_of: Callable[[str], int | None]) -> Page:
    """The page that a call requests; `number_of` finds the number of the object with an id."""
    after, before = request.query.get("after"), request.query.get("before")
    if after and before:
        raise refusal("validation_error", "You can only use either `after` or `before`, not both.")
    cursor = after or before
    number = number_of(cursor) if cursor else None
    if cursor and number is None:
        raise refusal("validation_error", "The pagination cursor is invalid.")
    limit = read_limit(request)
    return Page(limit, before=number) if before else Page(limit, after=number)


def read_limit(request: Request) -> int:
    """`limit`, 1 to 100."""
    value = request.query.get("limit", str(DEFAULT_LIMIT))
    if value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= MAX_LIMIT:
        return int(value)
    raise refusal(
        "validation_error",
        f"The pagination limit must be a number between 1 and {MAX_LIMIT}. "
        "See https://resend.com/docs/pagination for more information.",
    )
