"""Links: valid addresses, and the responses of their servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.content.document import SectionContent, SectionKind
from newsletter.preflight.findings import Finding, LinkHop, LinkStatus
from newsletter.preflight.links import passed_links
from newsletter.rendering import PlaceholderContext, placeholder_token
from tests.newsletter.preflight.finding import Mail, findings_of_family, inspected, mail, short, with_stories
from tests.newsletter.preflight.sample_issue import CRANE, GAUGE, PLAIN_ISSUE, inspection_of

WORKS = LinkStatus(status=200, final_url=CRANE.url)


def link_findings(status: LinkStatus, url: str = CRANE.url) -> list[Finding]:
    content = with_stories(GAUGE, replace(CRANE, url=url))
    statuses = {GAUGE.url: LinkStatus(status=200, final_url=GAUGE.url), url: status}
    return findings_of_family("links", replace(inspected(content), links=statuses))


@pytest.mark.parametrize(
    ("story", "text"),
    [
        (replace(CRANE, url="ftp://a.example"), "“ftp://a.example” is not a valid web address"),
        (replace(CRANE, body="See [this](/page)."), "“/page” in the text does not work"),
        (replace(CRANE, body="[x](javascript:alert(1))"), "does not work"),
    ],
)
def test_an_invalid_address_is_an_error(story: object, text: str) -> None:
    content = with_stories(GAUGE, story)  # type: ignore[arg-type]
    errors = [finding for finding in findings_of_family("links", inspected(content)) if finding.severity == "error"]
    assert [(finding.place, text in finding.message) for finding in errors] == [("Deep dives, story 2", True)]


def test_links_that_work_have_no_findings_and_unchecked_links_are_counted() -> None:
    assert link_findings(WORKS) == []
    (finding,) = findings_of_family("links", inspected(with_stories(CRANE, GAUGE)))
    assert finding.message == "2 of 2 links have not been checked yet. Run the checks again in a minute."


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_is_gone_is_an_error(status: int) -> None:
    assert short(link_findings(LinkStatus(status=status))) == [("error", "links", "Deep dives, story 2")]


@pytest.mark.parametrize("status", [400, 401, 403, 418, 429, 451, 500, 503])
def test_other_http_errors_are_warnings(status: int) -> None:
    assert short(link_findings(LinkStatus(status=status))) == [("warning", "links", "Deep dives, story 2")]


def test_no_response_is_a_warning_with_the_reason() -> None:
    (finding,) = link_findings(LinkStatus(reason="The host gazette.example does not exist."))
    assert finding.severity == "warning"
    assert "did not respond: The host gazette.example does not exist. Open" in finding.message


def test_if_no_link_responds_there_is_one_finding_for_all() -> None:
    stories = [replace(CRANE, url=f"https://{name}.example/") for name in ("a", "b", "c")]
    statuses = {story.url: LinkStatus(reason="It cannot be reached.") for story in stories}
    (finding,) = findings_of_family("links", replace(inspected(with_stories(*stories)), links=statuses))
    assert finding.place == ""
    assert "None of the 3 links could be reached from this server" in finding.message


def test_a_permanent_redirect_can_be_fixed() -> None:
    moved = LinkStatus(status=200, final_url="https://new.example/crane", hops=(LinkHop(CRANE.url, 308),))
    (finding,) = link_findings(moved)
    assert finding.fix is not None
    assert [story.url for story in finding.fix.content.stories()] == [GAUGE.url, "https://new.example/crane"]


def test_a_temporary_redirect_has_no_fix() -> None:
    hops = (LinkHop(CRANE.url, 301), LinkHop("https://between.example/", 302))
    (finding,) = link_findings(LinkStatus(status=200, final_url="https://end.example/", hops=hops))
    assert "https://end.example/" in finding.message
    assert finding.fix is None


@pytest.mark.parametrize(("has_https", "is_fixed"), [(True, True), (False, False), (None, False)])
def test_an_unencrypted_link_can_be_fixed_only_if_https_returns_the_same_page(
    has_https: bool | None, is_fixed: bool
) -> None:
    url = "http://gazette.example/crane"
    (finding,) = link_findings(LinkStatus(status=200, final_url=url, has_https=has_https), url)
    assert (finding.fix is not None) is is_fixed
    if finding.fix:
        assert list(finding.fix.content.stories())[1].url == "https://gazette.example/crane"


def test_a_fix_replaces_every_link_to_the_address_and_nothing_else() -> None:
    old, new = "http://ropes.example/a", "https://ropes.example/a"
    body = f"[One]({old}) and <{old}>, not [another]({old}/b)."
    content = with_stories(replace(CRANE, url=old), replace(GAUGE, body="[Two](http://ropes.example/a)"))
    statuses = {old: LinkStatus(status=200, final_url=old, has_https=True)}
    (fixable,) = (
        found for found in findings_of_family("links", replace(inspected(content), links=statuses)) if found.fix
    )
    assert fixable.fix is not None
    fixed = list(fixable.fix.content.stories())
    assert (fixed[0].url, fixed[1].body) == (new, f"[Two]({new})")

    not_replaceable = with_stories(replace(CRANE, url=old, body=body))
    findings = findings_of_family("links", replace(inspected(not_replaceable), links=statuses))
    assert [finding.fix for finding in findings if old in finding.message] == [None]


def test_images_are_checked_too() -> None:
    picture = SectionContent(kind=SectionKind.IMAGE, image="https://p.example/lock.jpg", alt="The lock")
    content = replace(PLAIN_ISSUE, sections=(*PLAIN_ISSUE.sections, picture))
    statuses = {url: LinkStatus(status=200, final_url=url) for url in (CRANE.url, GAUGE.url)}
    statuses |= {picture.image: LinkStatus(status=404)}
    (finding,) = findings_of_family("links", replace(inspected(content), links=statuses))
    assert finding.place == "Image, part 3"
    assert finding.message.startswith("The page at https://p.example/lock.jpg does not exist any more")


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a href="/archive">Archive</a>', "error"),
        ('<a href="javascript:alert(1)">Archive</a>', "error"),
        ('<img src="logo.png" alt="Us">', "error"),
        ('<a href="#gone">Down</a>', "warning"),
        ('<a href="#here">Down</a><h2 id="here">Here</h2>', None),
        ('<a href="https://site.example/">Site</a><a href="mailto:a@site.example">Us</a>', None),
        ('<img src="https://site.example/logo.png" alt="Us">', None),
        (f'<a href="{placeholder_token(Mail.nonce, "unsubscribe_url", PlaceholderContext.HTML)}">Leave</a>', None),
    ],
)
def test_addresses_of_a_theme_must_be_complete(html: str, expected: str | None) -> None:
    findings = findings_of_family("links", replace(mail(html), links=inspection_of(PLAIN_ISSUE).links))
    assert short(findings) == ([(expected, "links", "Theme")] if expected else [])


def test_an_invalid_link_in_the_content_is_reported_once() -> None:
    content = with_stories(CRANE, replace(GAUGE, body="See [there](/nowhere)."))
    assert short(
        findings_of_family(
            "links",
            replace(
                mail('<a href="/nowhere">there</a>'),
                content=content,
                links={story.url: WORKS for story in (CRANE, GAUGE)},
            ),
        )
    ) == [("error", "links", "Deep dives, story 2")]


def test_mail_addresses_are_not_checked() -> None:
    content = with_stories(replace(CRANE, url="", body="Write to [us](mailto:notes@mail.example.org)."))
    assert passed_links(inspected(content)) == "The issue has no links to check."
