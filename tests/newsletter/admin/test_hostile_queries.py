"""No query string and no selection of rows breaks a list of the admin, or makes it run a query of the visitor's own."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Field, Model
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.models import Batch, Delivery, Issue
from subscribers.admin.filters import OfferedFilters, OfferedFiltersChangeList
from subscribers.models import Subscriber, Subscription, SubscriptionState
from tests.people import make_mailing_list

MODELS = list(admin.site._registry)
HUGE = "9" * 40

#: For every list, whatever its columns.
QUERIES = (
    *("q=%00", "q=" + "a%20" * 2000, "q=" + "%25" * 3000, "q=\"'(", "q=" + HUGE),
    *("p=%00", "p=-1", "p=x", f"p={HUGE}", "p=" + "9" * 5000, "all=", "_facets=True", "_facets=%00"),
    *("o=-1.2", "o=x", f"o={HUGE}", "o=%00", "o=..", "o=1.-1.1"),
    *("_popup=1", "_to_field=x", "_to_field=%00", "_changelist_filters=%00", "__=1", "%00=1", "id__id__id=1"),
    *("created_at__year=x", "created_at__month=99", "password__startswith=a", "subscriber__canonical__startswith=a"),
)
#: For each filter of a list.
VALUES = ("", "x", "%00", HUGE, "9" * 5000, "1&{0}=2", f"{HUGE}-active", "(")


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def named(model: type[Model]) -> str:
    return f"{model._meta.app_label}.{model._meta.model_name}"


def filter_parameters(model: type[Model]) -> list[str]:
    """The parameters of the list's own filters."""
    names = []
    for each in admin.site._registry[model].list_filter:
        parameter = getattr(each, "parameter_name", None)
        names += [parameter] if parameter else [f"{each}__exact", f"{each}__id__exact", f"{each}__isnull"]
    return names


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_every_list_takes_only_the_filters_that_it_shows(model: type[Model]) -> None:
    page = admin.site._registry[model]
    assert isinstance(page, OfferedFilters), "Let it derive from subscribers.admin.filters.OfferedFilters first."
    assert issubclass(page.get_changelist(RequestFactory().get("/")), OfferedFiltersChangeList)


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_no_query_breaks_a_list(model: type[Model], issue: Issue, read_by_ada: None, edda: Client) -> None:
    values = [f"{name}={value.format(name)}" for name in filter_parameters(model) for value in VALUES]
    for query in (*QUERIES, *values):
        assert edda.get(f"{list_of(model)}?{query}").status_code in (200, 302, 400), query


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_filter_that_a_list_does_not_show_is_refused_in_one_line(
    model: type[Model], edda: Client, caplog: pytest.LogCaptureFixture
) -> None:
    columns = [field.name for field in model._meta.get_fields() if isinstance(field, Field)]
    for query in (
        *(f"{column}__regex=(" for column in columns),
        f"{columns[1]}__iregex=^(a%2B)%2B$",
        f"{columns[1]}__gt=0",
    ):
        caplog.clear()
        with CaptureQueriesContext(connection) as captured:
            assert edda.get(f"{list_of(model)}?{query}").status_code == 400
        assert not any("regex" in each["sql"].lower() or " ~ " in each["sql"] for each in captured), query
        (line,) = caplog.records
        assert line.exc_info is None


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_repeated_filter_is_refused(model: type[Model], edda: Client) -> None:
    for name in filter_parameters(model):
        assert edda.get(f"{list_of(model)}?" + "&".join([f"{name}=1"] * 900)).status_code == 400, name


def test_a_filter_that_is_repeated_more_often_than_a_query_takes_conditions_is_refused(edda: Client) -> None:
    state = f"state__exact={SubscriptionState.ACTIVE}"
    many = "&".join([state] * 1500)
    assert edda.get(f"{list_of(Subscription)}?{many}").status_code == 400
    assert edda.get(f"{list_of(Subscription)}?{state}").status_code == 200


def test_a_value_that_is_no_choice_of_a_filter_is_refused(edda: Client) -> None:
    assert edda.get(f"{list_of(Subscription)}?state__exact=nonsense").status_code == 400
    assert edda.get(f"{list_of(Subscription)}?state__exact=").status_code == 400


@pytest.mark.parametrize("model", [Subscriber, Batch, Delivery], ids=named)
def test_no_selection_breaks_an_action(model: type[Model], read_by_ada: None, edda: Client) -> None:
    for rows in (["x"], ["1", "\0"], [HUGE], ["-1"], ["1.5"], ["²"], ["9" * 5000]):
        for action in ("unsubscribe", "x", "\0"):
            answer = edda.post(list_of(model), {"action": action, "index": "0", "_selected_action": rows})
            assert answer.status_code in (200, 302, 400, 403)


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_only_fields_of_a_page_are_completed(model: type[Model], edda: Client) -> None:
    names = {"app_label": model._meta.app_label, "model_name": str(model._meta.model_name)}
    for field in model._meta.get_fields():
        if field.is_relation:
            asked = {**names, "field_name": field.name, "term": "a"}
            assert edda.get(reverse("admin:autocomplete"), asked).status_code == 404


def test_no_term_breaks_the_completion_of_names(issue: Issue, edda: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin.site._registry[Issue], "autocomplete_fields", ("newsletter",))
    asked = {"app_label": "newsletter", "model_name": "issue", "field_name": "newsletter"}
    found = edda.get(reverse("admin:autocomplete"), {**asked, "term": "harbour"}).json()
    assert [row["text"] for row in found["results"]] == [str(issue.newsletter)]
    for changes in ({"term": "a " * 3000}, {"term": "\0"}, {"term": "%" * 3000}, {"term": "", "page": HUGE}):
        assert edda.get(reverse("admin:autocomplete"), {**asked, **changes}).status_code in (200, 400, 404)


def test_the_filters_that_a_list_shows_work(issue: Issue, read_by_ada: None, edda: Client) -> None:
    # Django shows no filter with a single choice.
    make_mailing_list("bridge-notes", name="Bridge Notes")
    for model in MODELS:
        page = lxml_html.fromstring(edda.get(list_of(model)).content.decode())
        links = page.xpath("//*[@id='changelist-filter']//a/@href")
        assert len(links) > 1 or not admin.site._registry[model].list_filter
        assert {edda.get(list_of(model) + link).status_code for link in links if link.startswith("?")} <= {200}
    assert edda.get(f"{list_of(Delivery)}?send__id__exact=1&state__exact=failed").status_code == 200
