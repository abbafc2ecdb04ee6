"""The choice of a time zone: Django's select in one piece."""

from __future__ import annotations

import pytest
from django import forms
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.admin.zone_select import ZoneSelect, zone_choices

ATTRIBUTES = {"id": "id_zone", "required": True, "disabled": False, "aria-describedby": "id_zone_helptext"}


def test_zones_are_those_of_places_and_utc_in_alphabetical_order() -> None:
    names = [name for name, _label in zone_choices()]
    assert {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"} <= set(names)
    assert "EST" not in names
    assert names == sorted(names)
    assert dict(zone_choices())["America/New_York"] == "America/New York"


def test_a_zone_that_this_machine_does_not_know_stays_a_choice() -> None:
    assert dict(zone_choices("Mars/Olympus_Mons"))["Mars/Olympus_Mons"] == "Mars/Olympus Mons"
    assert "Mars/Olympus_Mons" not in dict(zone_choices())


@pytest.mark.parametrize("value", ["Europe/Berlin", "", None, '"><b>', "UTC"])
def test_it_is_what_djangos_select_is(value: str | None) -> None:
    choices = [*zone_choices(), ('"><b>', "<i>&")]
    ours = ZoneSelect(attrs={"class": "zone"}, choices=choices).render("zone", value, ATTRIBUTES)
    theirs = forms.Select(attrs={"class": "zone"}, choices=choices).render("zone", value, ATTRIBUTES)
    assert _read(ours) == _read(theirs)


def _read(markup: str) -> tuple[dict[str, str], list[tuple[dict[str, str], str]]]:
    select = lxml_html.fromstring(markup)
    return dict(select.attrib), [(dict(option.attrib), option.text) for option in select.xpath("./option")]
