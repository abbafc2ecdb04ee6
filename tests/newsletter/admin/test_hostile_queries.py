"""No query string and no selection of rows breaks a list of the admin, or makes it run a query of the visitor's own."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Field, Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from newsletter.admin.records import KindFilter
from newsletter.models import Delivery, Issue
from subscribers.admin.filters import OfferedFilters, OfferedFiltersChangeList

MODELS = list(admin.site._registry)
HUGE = "9" * 40

#: With lookups that each column has.
LOOKUPS = (
    "regex=(",
    "iregex=[",
    "regex=^(a%2B)%2B$",
    "contains=a",
    "exact=x",
    "exact=x%00",
    "in=1,2",
    "gt=0",
    "isnull=x",
)

#: For every list, whatever its columns.
QUERIES = (
    *("q=%00", "q=" + "a%20" * 2000, "q=" + "%25" * 3000, "q=\"'(", "q=%F0%9F", "q=" + HUGE),
    *("p=%00", "p=-1", "p=x", f"p={HUGE}", "p=" + "9" * 5000, "all=", "all=%00", "_facets=True", "_facets=%00"),
    *("o=1", "o=-1.2", "o=x", "o=99", f"o={HUGE}", "o=%00", "o=..", "o=1.-1.1"),
    *("e=1", "_popup=1", "_to_field=id", "_to_field=x", "_to_field=%00", "_changelist_filters=%00"),
    *(
        "pk=1",
        "pk__in=1",
        "id__gt=x",
        "x=1",
        "__=1",
        "%00=1",
        "id__id__id=1",
        "created_at__year=x",
        "created_at__month=99",
    ),
    *("password__startswith=a", "user__password__startswith=a", "subscriber__canonical__startswith=a"),
)


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def named(model: type[Model]) -> str:
    return f"{model._meta.app_label}.{model._meta.model_name}"


def filter_parameters(model: type[Model]) -> list[str]:
    """The parameters of the list's own filters."""
    names = []
    for each in admin.site._registry[model].list_filter:
        parameter = getattr(each, "parameter_name", None)
        names += [parameter] if parameter else [f"{each}__exact", f"{each}__id__exact", f"{each}__isnull", str(each)]
    return names


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_every_list_takes_only_the_filters_that_it_shows(model: type[Model]) -> None:
    page = admin.site._registry[model]
    assert isinstance(page, OfferedFilters), "Let it derive from subscribers.admin.filters.OfferedFilters first."
    assert issubclass(page.get_changelist(None), OfferedFiltersChangeList)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_no_query_breaks_a_list(model: type[Model], issue: Issue, read_by_ada: None, edda: Client) -> None:
    columns = [field.name for field in model._meta.get_fields() if isinstance(field, Field)]
    values = ("", "x", "1", "-1", "%00", HUGE, "9" * 5000, "1&{0}=2", "1-x", f"{HUGE}-active", "(", "true")
    queries = [
        *QUERIES,
        *(f"{column}__{lookup}" for column in columns for lookup in LOOKUPS),
        *(f"{name}={value.format(name)}" for name in filter_parameters(model) for value in values),
    ]
    for query in queries:
        with CaptureQueriesContext(connection) as captured:
            answer = edda.get(f"{list_of(model)}?{query}")
        assert answer.status_code in (200, 302, 400), query
        assert not any("REGEXP" in each["sql"] or " ~" in each["sql"] for each in captured), query


@pytest.mark.parametrize("model", MODELS, ids=named)
@pytest.mark.parametrize("lookup", ["regex=(", "regex=^(a%2B)%2B$", "gt=0", "contains=a"])
def test_a_filter_that_a_list_does_not_show_is_refused(model: type[Model], lookup: str, edda: Client) -> None:
    for field in model._meta.fields:
        assert edda.get(f"{list_of(model)}?{field.name}__{lookup}").status_code == 400


@pytest.mark.parametrize(
    "rows", [["x"], ["1", "\0"], [HUGE], ["-1"], ["1.5"], ["²"], ["9" * 5000]], ids=lambda rows: rows[-1][:9]
)
@pytest.mark.parametrize("model", MODELS, ids=named)
def test_no_selection_breaks_an_action(model: type[Model], rows: list[str], read_by_ada: None, edda: Client) -> None:
    for action in ("delete_selected", "unsubscribe", "x", "\0"):
        answer = edda.post(list_of(model), {"action": action, "index": "0", "_selected_action": rows})
        assert answer.status_code in (200, 302, 400, 403)


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_no_term_breaks_the_completion_of_names(model: type[Model], edda: Client) -> None:
    names = {"app_label": model._meta.app_label, "model_name": str(model._meta.model_name)}
    for field in model._meta.fields:
        for term in ("a " * 3000, "\0", "%" * 3000, "("):
            url = reverse("admin:autocomplete")
            answer = edda.get(url, {**names, "field_name": field.name, "term": term, "page": HUGE})
            assert answer.status_code in (200, 400, 403, 404)


def test_the_filters_that_a_list_shows_work(issue: Issue, edda: Client) -> None:
    other = list_of(Issue)
    assert edda.get(f"{other}?newsletter__id__exact={issue.newsletter_id}&status=draft").status_code == 200
    assert edda.get(f"{list_of(Delivery)}?send__id__exact=1&state__exact=failed").status_code == 200
    assert (
        edda.get(f"{reverse('admin:newsletter_event_changelist')}?{KindFilter.parameter_name}=email.sent").status_code
        == 200
    )
