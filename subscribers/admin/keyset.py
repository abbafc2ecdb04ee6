"""Lists of tables that grow without end: newest first, from key to key, without counting or skipping rows.

The primary key is the order, so that a page costs the same however far back it is. No index helps most filters: a page
then looks through SCANNED rows, says how far it came, and the next one goes on from there.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ShowFacets
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.utils.functional import cached_property

from subscribers.admin.filters import MAX_KEY_DIGITS, AnyModelAdmin, OfferedFiltersChangeList
from subscribers.directory.counting import Count, count_rows

#: Rows that one page of a filtered list looks through.
SCANNED = 50_000

#: The parameter with the key before which a page starts.
BEFORE = "before"


class KeysetChangeList(OfferedFiltersChangeList):
    """One page of a list in the order of its keys."""

    is_keyset = True
    before: int | None = None
    next_key: int | None = None
    """Where the next page starts; None on the last one."""
    is_cut: bool = False
    """Whether older rows were not looked through."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Take the key out of the query first: it is no filter, and links of filters must not repeat it."""
        key = self.params.pop(BEFORE, "")
        repeated = self.filter_params.pop(BEFORE, [])
        if len(repeated) > 1 or (key and not (key.isascii() and key.isdecimal() and len(key) <= MAX_KEY_DIGITS)):
            raise BadRequest(f"no key in {BEFORE!r}")
        if key:
            self.before = int(key)
        return super().get_filters(request)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str | Combinable]:
        return ["-pk"]

    def get_ordering_field_columns(self) -> dict[Any, Any]:
        return {}

    def get_results(self, request: HttpRequest) -> None:
        """Read one row more than a page, to know whether there are others."""
        size, low, high = self.list_per_page, *self._bounds(request)
        rows = self.queryset if high is None else self._older(self.queryset, high)
        if low is None and self.has_active_filters and not self.query and not self._is_indexed():
            low = self._floor(high)
            self.is_cut = low is not None
        found = list((rows if low is None else rows.filter(pk__gte=low))[: size + 1])
        if len(found) > size:
            self.next_key, self.is_cut = found[size - 1].pk, False
        elif self.is_cut:
            self.next_key = low
        self.result_list = found[:size]
        self.result_count = self.full_result_count = len(self.result_list)
        self.show_full_result_count = False
        self.can_show_all = self.show_all = True
        self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, self.result_list, size)

    def _older(self, rows: QuerySet[Any], key: int) -> QuerySet[Any]:
        """The rows before a key, in words that the index of the order serves."""
        return rows.filter(pk__lt=key)

    def _bounds(self, request: HttpRequest) -> tuple[int | None, int | None]:
        """The keys from which, and before which, rows are looked for; those of the model's page and of the query."""
        bounds_of = getattr(self.model_admin, "bounds_of", None)
        low, high = bounds_of(self.params) if bounds_of else (None, None)
        return low, min((each for each in (self.before, high) if each is not None), default=None)

    def _is_indexed(self) -> bool:
        indexed: frozenset[tuple[str, str]] = getattr(self.model_admin, "indexed_filters", frozenset())
        return bool(indexed & set(self.params.items()))

    def _floor(self, high: int | None) -> int | None:
        """The key SCANNED rows before the start, by the number of keys; None if there are no rows before it."""
        everything = self.model._default_manager.order_by()
        newest = everything.order_by("-pk").values_list("pk", flat=True).first() if high is None else high - 1
        oldest = everything.order_by("pk").values_list("pk", flat=True).first()
        if newest is None or oldest is None or newest - SCANNED < oldest:
            return None
        return int(newest - SCANNED + 1)

    @cached_property
    def total(self) -> Count | None:
        """How many rows there are, as an estimate for more than a thousand; None where only counting would tell."""
        if self.before is None and self.next_key is None:
            return Count(self.result_count)
        if self.has_active_filters or self.query or self.params:
            return None
        return count_rows(self.model._default_manager.all())

    @property
    def next_url(self) -> str:
        """The query of the next page; empty on the last one."""
        return self.get_query_string({BEFORE: self.next_key}) if self.next_key is not None else ""

    @property
    def first_url(self) -> str:
        """The query of the first page; empty on it."""
        return self.get_query_string() if self.before is not None else ""


class KeysetPages(AnyModelAdmin):
    """For a ModelAdmin, before `OfferedFilters`. Its order is the primary key, the newest first."""

    sortable_by = ()
    # They would count all rows for each choice of each filter.
    show_facets = ShowFacets.NEVER

    #: Filters that an index serves, by parameter and value: they look through all rows.
    indexed_filters: frozenset[tuple[str, str]] = frozenset()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[OfferedFiltersChangeList]:
        return KeysetChangeList
