"""Lists of the admin take the filters that they show, and no other query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response
from django.views.defaults import bad_request

#: In characters. Django makes a condition of each word, and databases limit how many a query may have.
MAX_SEARCH_LENGTH = 200

#: Of a primary key, which is a 64-bit integer.
MAX_KEY_DIGITS = 18

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
else:
    AnyModelAdmin = object


class OfferedFiltersChangeList(ChangeList):
    """A list that answers 400 to a filter that it does not offer, and to a choice that a filter does not have.

    Related rows and dates are no choices: a row that does not exist gives an empty list.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        """Django would pass each parameter that no filter has taken to the database, as in `?address__regex=`.

        Of a parameter that is repeated it would make a condition each, and databases limit how many a query may have.
        """
        if repeated := [name for name, values in request.GET.lists() if len(values) > 1]:
            raise BadRequest(f"repeated parameter {min(repeated)!r}")
        found = super().get_filters(request)
        filters, _has_filters, rest, *_ = found
        linked: tuple[str, ...] = getattr(self.model_admin, "linked_lookups", ())
        if unknown := rest.keys() - set(linked):
            raise BadRequest(f"unknown filter {min(unknown)!r}")
        for each in filters:
            if not set(_chosen(each)) <= _offered(each):
                raise BadRequest(f"unknown value of the filter {'/'.join(map(str, each.expected_parameters()))!r}")
        return found


def _chosen(each: admin.ListFilter) -> Iterable[str]:
    """The values that the query names; none of a filter without choices."""
    if isinstance(each, admin.SimpleListFilter):
        return [each.value() or ""]
    return each.lookup_val or () if isinstance(each, admin.ChoicesFieldListFilter) else ()


def _offered(each: admin.ListFilter) -> set[str]:
    if isinstance(each, admin.SimpleListFilter):
        return {"", *(str(value) for value, _label in each.lookup_choices)}
    choices = each.field.flatchoices if isinstance(each, admin.ChoicesFieldListFilter) else ()
    return {str(value) for value, _label in choices}


class OfferedFilters(AnyModelAdmin):
    """For every ModelAdmin, before Django's class: only offered filters, bounded searches, rows by their keys."""

    #: Lookups that no filter shows, but pages of ours link to.
    linked_lookups: tuple[str, ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OfferedFiltersChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, or the answer 400."""
        try:
            return super().changelist_view(request, extra_context)
        except (BadRequest, SuspiciousOperation) as error:
            return refusal(request, error)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for the first MAX_SEARCH_LENGTH characters."""
        return super().get_search_results(request, queryset, search_term[:MAX_SEARCH_LENGTH])

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | None:
        """Run an action on rows. Raises BadRequest for rows that are no keys."""
        if not all(_is_key(row) for row in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadRequest("invalid key of a selected row")
        return super().response_action(request, *args, **kwargs)


def refusal(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer 400, whose reason is one line of the log; Django would write a traceback."""
    response = bad_request(request, error)
    log_response("%s: %s", error, request.path, response=response, request=request)
    return response


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_KEY_DIGITS
