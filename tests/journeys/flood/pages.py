"""Reads the pages and files of an installation over HTTP as a user who is logged in, and compares every number."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from lxml import html as lxml_html  # type: ignore[import-untyped]

from tests.browser import Browser, Page
from tests.journeys.flood.expected import (
    ExpectedReport,
    domain_base,
    grouped,
    level_of,
    percent,
    short_percent,
)
from tests.journeys.site import PASSWORD

Element = Any


class Admin:
    """The admin of a site, logged in."""

    def __init__(self, site_url: str) -> None:
        self._url, self._browser = site_url, Browser()
        page = self._browser.get(f"{site_url}/admin/login/?next=/admin/")
        self.first_page = self._browser.submit(page, username="edda", password=PASSWORD)
        assert "Log out" in self.first_page.words
        self.issue_list = self.get("/admin/newsletter/issue/")

    def get(self, path: str) -> Page:
        page = self._browser.get(urljoin(self._url, path))
        assert page.status == 200, (path, page.status, page.words[:300])
        return page

    def issue(self, title: str) -> str:
        """The path of an issue's pages."""
        tree = lxml_html.fromstring(self.issue_list.text)
        links = [link.get("href") for link in tree.xpath("//table[@id='result_list']//a") if title in words(link)]
        (path,) = {"/".join(link.split("/")[:5]) for link in links}
        return f"{path}/"

    def recipients(self, url: str) -> set[int]:
        """The deliveries that a list names, on all of its pages."""
        found: list[int] = []
        while url:
            tree = lxml_html.fromstring(self.get(url).text)
            for row in tree.xpath("//div[@class='card']//tbody/tr"):
                (number,) = row.xpath("./td[last()]/a/text()")
                found.append(int(number))
            following = tree.xpath("//a[@rel='next']/@href")
            url = urljoin(url, following[0]) if following else ""
        assert len(found) == len(set(found))
        return set(found)


def words(node: Element) -> str:
    return " ".join(node.text_content().split())


def number(text: str) -> int:
    return int(text.replace(",", ""))


def rows_of(tree: Element, section: str) -> list[list[Element]]:
    """The cells of the table in a section that is named by the id of its heading."""
    return [row.xpath("./th|./td") for row in tree.xpath(f"//section[@aria-labelledby='{section}']//table/tbody/tr")]


# --- The report -------------------------------------------------------------------------------------------------------


def check_report(admin: Admin, expected: ExpectedReport) -> None:
    """The page, its files, and the lists of recipients behind its numbers."""
    path = admin.issue(expected.mail.issue)
    page = admin.get(f"{path}report/")
    tree = lxml_html.fromstring(page.text)
    assert tiles(tree) == expected_tiles(expected)
    check_places(admin, page, tree, expected)
    check_bounces(admin, page, tree, expected)
    check_complaints(tree, expected)
    check_hours(tree, expected)
    assert [[words(cell) for cell in row[:5]] for row in rows_of(tree, "domains")] == list(domain_rows(expected))
    check_links(tree, expected)
    check_comparison(tree, expected)
    check_files(admin, path, expected)


def tiles(tree: Element) -> dict[str, tuple[str, str]]:
    """By label: the number, and the first line below it."""
    found = {}
    for tile in tree.xpath("//dl[contains(@class, 'report-tiles')]/div"):
        value = tile.xpath("./dd")[0]
        found[words(tile.xpath("./dt")[0])] = (value.text.strip(), words(value.xpath("./span")[0]))
    return found


def expected_tiles(expected: ExpectedReport) -> dict[str, tuple[str, str]]:
    base, audience = expected.delivered, expected.audience

    def of_recipients(count: int) -> tuple[str, str]:
        return percent(count, audience), f"{grouped(count)} of {grouped(audience)} recipients"

    def of_base(kind: str) -> tuple[str, str]:
        count = expected.with_event(kind)
        return percent(count, base), f"{grouped(count)} of {grouped(base)} delivered mails"

    untracked = ("–", "Not counted: tracking is off.")
    return {
        "Delivered": of_recipients(expected.delivered),
        "Clicked": of_base("clicked") if expected.has_tracking else untracked,
        "Opened (estimate)": of_base("opened") if expected.has_tracking else untracked,
        "Unsubscribed": (percent(0, base), f"0 of {grouped(base)} delivered mails"),
        "Not delivered": of_recipients(expected.in_group("not_delivered")),
        "Not known yet": of_recipients(expected.in_group("under_way")),
    }


def check_places(admin: Admin, page: Page, tree: Element, expected: ExpectedReport) -> None:
    """Each place with its recipients; where reasons are counted, they add up."""
    rows = tree.xpath("//tr[@data-place]")
    found = {row.get("data-place"): number(words(row.xpath("./td")[0])) for row in rows}
    assert found == expected.places
    assert list(found) == list(expected.places)
    (total,) = tree.xpath("//section[@aria-labelledby='places']//tfoot//td[contains(@class, 'number')]")
    assert number(words(total)) == expected.audience == sum(found.values())
    for row in rows:
        place = row.get("data-place")
        for link in row.xpath("./td[1]/a/@href"):
            assert admin.recipients(urljoin(page.url, link)) == expected.in_place(place)
        if reasons := row.xpath(".//ul[@class='reasons']/li/strong"):
            assert sum(number(words(reason)) for reason in reasons) == expected.places[place]
    listed = {row.get("data-place") for row in rows if row.xpath("./td[1]/a")}
    assert listed == {"bounced", "complained", "suppressed", "not_sent"} & expected.places.keys()


def check_bounces(admin: Admin, page: Page, tree: Element, expected: ExpectedReport) -> None:
    found = {}
    for _label, count, _action in rows_of(tree, "bounces"):
        (link,) = count.xpath("./a/@href")
        (code,) = parse_qs(urlsplit(link).query)["bounce"]
        found[code] = number(words(count))
        assert admin.recipients(urljoin(page.url, link)) == expected.with_bounce(code)
    assert list(found.items()) == list(expected.bounces.items())
    total, remark = tree.xpath("//section[@aria-labelledby='bounces']//tfoot//td")
    assert number(words(total)) == expected.with_event("bounced") == sum(found.values())
    elsewhere = expected.with_event("bounced") - expected.places["bounced"]
    assert words(remark).startswith(f"{grouped(elsewhere)} of them ha") == bool(elsewhere)


def check_complaints(tree: Element, expected: ExpectedReport) -> None:
    """They stand below the unsubscribes, which no event tells of."""
    count = expected.with_event("complained")
    noun = "complaint" if count == 1 else "complaints"
    (tile,) = tree.xpath("//dl[contains(@class, 'report-tiles')]/div[dt[starts-with(., 'Unsubscribed')]]/dd")
    lines = [words(line) for line in tile.xpath("./span")]
    assert f"{grouped(count)} {noun} ({percent(count, expected.delivered)})" in lines


def check_hours(tree: Element, expected: ExpectedReport) -> None:
    """The table beside the chart, and the sentence for those who do not see it."""
    kinds = [kind for kind in expected.hours[0] if kind != "until"]
    rows = [row.xpath("./th|./td") for row in tree.xpath("//details[@id='hours-table']//tbody/tr")]
    assert [[number(words(cell)) for cell in row[2:]] for row in rows] == [
        [hour[kind] for kind in kinds] for hour in expected.hours
    ]
    counts = ", ".join(f"{grouped(expected.hours[-1][kind])} {kind}" for kind in kinds)
    (sentence,) = tree.xpath("//section[@aria-labelledby='hours']//p[starts-with(., 'After')]")
    assert words(sentence) == f"After 48 hours: {counts}."


def domain_rows(expected: ExpectedReport) -> Iterator[list[str]]:
    """Domain, delivered, bounced, and the rates of clicks and complaints, marked where they are high."""
    for row in expected.domains:
        base = domain_base(row)
        rates = [percent(row[name], base) if base >= 20 else "–" for name in ("clicked", "complained")]
        marked = f"{level_of(row)} {rates[1]}".strip()
        name = row["domain"] or "All other domains"
        yield [name, grouped(row["delivered"]), grouped(row["bounced"]), rates[0], marked]


def check_links(tree: Element, expected: ExpectedReport) -> None:
    sections = tree.xpath("//section[@aria-labelledby='links']")
    if not expected.has_tracking:
        assert not sections
        return
    (section,) = sections
    found = [(number(words(row[1])), number(words(row[2]))) for row in rows_of(tree, "links")]
    assert found == expected.links()
    hits, programs = expected.hits_on_links()
    humans, every = expected.opens()
    assert f"{grouped(hits)} hits on links, {grouped(programs)} of them by programs" in words(section)
    opened = f"Opened (estimate): about {grouped(humans)}, of whom 0 through programs that load every image."
    assert f"{opened} Loads of the image in all: {grouped(every)}." in words(section)


def check_comparison(tree: Element, expected: ExpectedReport) -> None:
    comparison = expected.comparison()
    found = [[words(cell) for cell in row[1:]] for row in rows_of(tree, "comparison")]
    if comparison is None:
        assert not found
        return
    this, median = comparison["this"], comparison["median"]
    order = ("delivered", "bounced", "clicked", "opened", "unsubscribed", "complained")
    assert found == [[rate(this[name]), rate(median[name]), points(this[name], median[name])] for name in order]


def rate(value: float | None) -> str:
    return "–" if value is None else percent(round(value * 1_000_000), 1_000_000)


def points(this: float | None, median: float | None) -> str:
    if this is None or median is None:
        return "–"
    difference = 100 * (this - median)
    if abs(difference) < 0.05:
        return "the same"
    shown = round(abs(difference), 2 if abs(difference) < 1 else 1)
    return f"{'+' if difference > 0 else '−'}{shown}"


def check_files(admin: Admin, path: str, expected: ExpectedReport) -> None:
    found = json.loads(admin.get(f"{path}report/json/").text)
    assert found.pop("counted_at")
    assert found == expected.as_json()
    text = admin.get(f"{path}report/csv/").body.decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text))) == expected.as_csv()


# --- Other pages ------------------------------------------------------------------------------------------------------


def check_first_page(admin: Admin, reports: list[ExpectedReport]) -> None:
    """The rates at the top, and the rows of the last issues; `reports` with the latest first."""
    tree = lxml_html.fromstring(admin.first_page.text)
    figures = {}
    for tile in tree.xpath("//dl[contains(@class, 'figures')]/div"):
        figures[words(tile.xpath("./dt")[0])] = tile.xpath("./dd")[0].text.strip()
    delivered = sum(each.delivered for each in reports)
    for label, kind in (("Click rate, last 5 issues", "clicked"), ("Complaint rate, 30 days", "complained")):
        assert figures[label] == short_percent(sum(each.with_event(kind) for each in reports) / delivered), label
    rows = [(words(row[0].xpath("./a")[0]), *(words(cell) for cell in row[-3:])) for row in rows_of(tree, "last")]
    assert rows == [
        (
            each.mail.issue,
            grouped(each.audience),
            short_percent(each.delivered / each.audience),
            short_percent(each.with_event("clicked") / each.delivered),
        )
        for each in reports
    ]


def check_issue_list(admin: Admin, reports: list[ExpectedReport]) -> None:
    """Recipients, delivered and clicked of each."""
    tree = lxml_html.fromstring(admin.issue_list.text)
    for each in reports:
        (row,) = (row for row in tree.xpath("//table[@id='result_list']/tbody/tr") if each.mail.issue in words(row))
        counts = f"{grouped(each.delivered)} delivered · {grouped(each.with_event('clicked'))} clicked"
        assert f"{grouped(each.audience)}{counts}" in words(row)


def unused_events(admin: Admin) -> dict[str, int]:
    """The numbers beside the reasons in the filter of the list of events."""
    tree = lxml_html.fromstring(admin.get("/admin/newsletter/event/").text)
    found = {}
    for link in tree.xpath("//a[contains(@href, 'reason=')]"):
        (code,) = parse_qs(urlsplit(link.get("href")).query)["reason"]
        if counted := re.search(r"\(([\d,]+)\)$", words(link)):
            found[code] = number(counted[1])
    return found
