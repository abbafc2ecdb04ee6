"""Links that lead elsewhere than they seem to, and links that belong to one subscriber."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.document import IssueContent
from newsletter.preflight.findings import Finding
from newsletter.preflight.link_trust import check_link_trust, latin_twin_of, without_subscriber_parameters
from tests.newsletter.preflight.finding import with_stories
from tests.newsletter.preflight.sample_issue import CRANE

CYRILLIC_A = "\u0430"


def findings(content: IssueContent) -> list[Finding]:
    return list(check_link_trust(content))


def codes(url: str) -> list[tuple[str, str, str]]:
    return [(one.severity.value, one.code, one.field) for one in findings(with_stories(replace(CRANE, url=url)))]


def test_a_user_name_before_the_host_is_an_error() -> None:
    assert codes("https://good.example@evil.example/") == [("error", "user_name_in_link", "url")]
    (finding,) = findings(with_stories(replace(CRANE, url="https://good.example@evil.example/")))
    assert "leads to evil.example" in finding.message


@pytest.mark.parametrize(
    "url", [f"https://{CYRILLIC_A}pple.example/", "https://xn--pple-43d.example/", "https://сосо.example/"]
)
def test_letters_that_pass_for_latin_ones_are_named(url: str) -> None:
    assert codes(url) == [("warning", "deceptive_host", "url")]


@pytest.mark.parametrize(
    "host",
    [
        "apple.example",
        "münchen.example",
        "xn--mnchen-3ya.example",
        "例え.example",
        "пример.example",
        "xn--zz.example",
        "",
    ],
)
def test_names_in_their_own_alphabet_are_no_latin_twin_ofs(host: str) -> None:
    assert latin_twin_of(host) == ""


def test_a_latin_twin_of_is_shown_as_what_it_pretends_to_be() -> None:
    assert latin_twin_of(f"shop.{CYRILLIC_A}pple.example") == "shop.apple.example"


@given(st.text(max_size=40))
def test_no_host_is_too_strange(host: str) -> None:
    latin_twin_of(host)


@pytest.mark.parametrize(
    "body",
    [
        "See [bank.example](https://bank.example.evil.example/).",
        "See [https://bank.example/login](https://evil.example/login).",
        "See [**www.bank.example**](https://evil.example/).",
    ],
)
def test_words_that_name_another_site_are_reported(body: str) -> None:
    (finding,) = findings(with_stories(replace(CRANE, body=body)))
    assert (finding.code, finding.field, finding.place) == ("words_name_another_site", "body", "Deep dives, story 1")


@pytest.mark.parametrize(
    "body",
    [
        "See [bank.example](https://www.bank.example/rates).",
        "See [bank.example](https://news.bank.example/).",
        "See [main.py](https://code.example/main.py).",
        "See [the bank](https://bank.example/).",
        "See <https://bank.example/>.",
        "Write to [ada@bank.example](mailto:ada@bank.example).",
    ],
)
def test_words_that_name_the_same_site_or_none_are_fine(body: str) -> None:
    assert findings(with_stories(replace(CRANE, body=body))) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://log.us1.list-manage.com/track/click?u=1&id=2&e=3",
        "https://substack.com/redirect/2/eyJlIjoiaHR0cHM6Ly9hLmV4YW1wbGUifQ.x",
        "https://mailchi.mp/f00/issue-4?e=abc",
        "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fa.example",
    ],
)
def test_links_of_another_newsletters_subscriber_are_named(url: str) -> None:
    assert codes(url) == [("warning", "link_of_a_subscriber", "url")]


def test_the_id_of_a_subscriber_is_removed_and_nothing_else() -> None:
    url = "https://news.example/a?b=1&mc_eid=abc&c=%20x&utm_source=log#d"
    (finding,) = findings(with_stories(replace(CRANE, url=url)))
    assert finding.code == "id_of_a_subscriber"
    assert finding.fix is not None
    (story,) = finding.fix.content.stories()
    assert story.url == "https://news.example/a?b=1&c=%20x&utm_source=log#d"


def test_an_address_without_ids_stays_as_it_is() -> None:
    url = "https://news.example/?a=&b&&c=1#?mc_eid=1"
    assert without_subscriber_parameters(url) == (url, ())
