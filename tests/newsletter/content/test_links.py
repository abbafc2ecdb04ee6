"""Link keys: all spellings of one page have the same key; different pages have different keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.links import leads_to_same_part, link_key, link_sha256, saved_link_sha256

PAGE = "https://quay.example/cranes/3"


@pytest.mark.parametrize(
    "spelling",
    [
        "http://quay.example/cranes/3",
        "https://QUAY.example/cranes/3/",
        "https://quay.example:443/cranes/3",
        "https://quay.example./cranes/3#photo",
        "https://quay.example/cranes/3?utm_source=rss&utm_medium=feed",
        "https://quay.example/cranes/3?fbclid=Iw&MC_CID=1&gclid=2",
        " https://quay.example/cranes/3 ",
    ],
)
def test_spellings_of_one_page_have_the_same_key(spelling: str) -> None:
    assert link_key(spelling) == link_key(PAGE)
    assert link_sha256(spelling) == link_sha256(PAGE)


@pytest.mark.parametrize(
    "other",
    [
        "https://www.quay.example/cranes/3",
        "https://quay.example/cranes/33",
        "https://quay.example/Cranes/3",
        "https://quay.example:8443/cranes/3",
        "https://quay.example/cranes/3?page=2",
        "https://quay.example/cranes/3?utm=2",
    ],
)
def test_other_pages_have_other_keys(other: str) -> None:
    assert link_key(other) != link_key(PAGE)


def test_the_order_of_parameters_does_not_matter() -> None:
    assert link_key(f"{PAGE}?b=2&a=1&utm_id=9") == link_key(f"{PAGE}?a=1&b=2")


@given(st.one_of(st.text(), st.text().map("https://{}".format), st.text().map("https://quay.example/{}".format)))
def test_any_text_has_a_key(url: str) -> None:
    assert len(link_sha256(url)) == 64


# Saved links


@pytest.mark.parametrize(
    "spelling", [PAGE, f"{PAGE}#", f"{PAGE}#:~:text=crane", f"{PAGE}#utm_source=rss", f"{PAGE}/?gclid=1"]
)
def test_a_saved_link_without_a_part_has_the_key_of_its_page(spelling: str) -> None:
    assert saved_link_sha256(spelling) == link_sha256(PAGE)


def test_parts_of_a_page_and_ids_of_a_feed_are_saved_links_of_their_own() -> None:
    keys = [saved_link_sha256(url) for url in (PAGE, f"{PAGE}#June_05", f"{PAGE}#June_06")]
    keys += [saved_link_sha256(PAGE, "menu-1"), saved_link_sha256(PAGE, "menu-2")]
    assert len(set(keys)) == 5


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        (PAGE, f"{PAGE}#photo", True),
        (f"{PAGE}#June_05", f"{PAGE}?utm_source=rss#June_05", True),
        (f"{PAGE}#June_05", f"{PAGE}#June_06", False),
        (PAGE, "https://quay.example/cranes/4", False),
    ],
)
def test_two_parts_of_a_page_are_not_the_same_address(url: str, other: str, same: bool) -> None:
    assert leads_to_same_part(url, other) is leads_to_same_part(other, url) is same
