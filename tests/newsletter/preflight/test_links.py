"""Links: how they are written, what they answered, and what nobody can tell from here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.content.document import SectionContent, SectionKind
from newsletter.preflight.findings import Finding, LinkHop, LinkStatus
from newsletter.preflight.links import passed_links
from newsletter.rendering import PlaceholderContext, placeholder_token
from tests.newsletter.preflight.finding import Mail, findings_of_family, inspected, mail, short, with_stories
from tests.newsletter.preflight.sample_issue import CRANE, GAUGE, PLAIN_ISSUE, inspection_of

ANSWERS = LinkStatus(status=200, final_url=CRANE.url)


def link_findings(look: LinkStatus, url: str = CRANE.url) -> list[Finding]:
    content = with_stories(GAUGE, replace(CRANE, url=url))
    looks = {GAUGE.url: LinkStatus(status=200, final_url=GAUGE.url), url: look}
    return findings_of_family("links", replace(inspected(content), links=looks))


@pytest.mark.parametrize(
    ("story", "says"),
    [
        (replace(CRANE, url="ftp://a.example"), "“ftp://a.example” is not a full web address"),
        (replace(CRANE, body="See [this](/page)."), "“/page” in the text leads nowhere"),
        (replace(CRANE, body="[x](javascript:alert(1))"), "leads nowhere"),
    ],
)
def test_an_address_that_is_none_must_be_fixed(story: object, says: str) -> None:
    content = with_stories(GAUGE, story)  # type: ignore[arg-type]
    must = [finding for finding in findings_of_family("links", inspected(content)) if finding.severity == "error"]
    assert [(finding.place, says in finding.message) for finding in must] == [("Deep dives, story 2", True)]


def test_links_that_answer_are_fine_and_those_not_looked_at_yet_are_counted() -> None:
    assert link_findings(ANSWERS) == []
    (finding,) = findings_of_family("links", inspected(with_stories(CRANE, GAUGE)))
    assert finding.message == "2 of 2 links are still being looked at. Come back in a minute."


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_is_gone_must_be_fixed(status: int) -> None:
    assert short(link_findings(LinkStatus(status=status))) == [("error", "links", "Deep dives, story 2")]


@pytest.mark.parametrize("status", [400, 401, 403, 418, 429, 451, 500, 503])
def test_a_page_that_refuses_programs_never_blocks(status: int) -> None:
    assert short(link_findings(LinkStatus(status=status))) == [("warning", "links", "Deep dives, story 2")]


def test_no_answer_deserves_a_look_and_says_why() -> None:
    (finding,) = link_findings(LinkStatus(reason="There is no gazette.example: no server goes by this name."))
    assert finding.severity == "warning"
    assert "no server goes by this name" in finding.message


def test_when_nothing_answers_one_sentence_says_so_instead_of_one_for_each() -> None:
    stories = [replace(CRANE, url=f"https://{name}.example/") for name in ("a", "b", "c")]
    looks = {story.url: LinkStatus(reason="It cannot be reached.") for story in stories}
    (finding,) = findings_of_family("links", replace(inspected(with_stories(*stories)), links=looks))
    assert finding.place == ""
    assert "None of the 3 links could be reached from here" in finding.message


def test_a_page_that_moved_for_good_can_be_linked_at_once() -> None:
    moved = LinkStatus(status=200, final_url="https://new.example/crane", hops=(LinkHop(CRANE.url, 308),))
    (finding,) = link_findings(moved)
    assert finding.fix is not None
    assert [story.url for story in finding.fix.content.stories()] == [GAUGE.url, "https://new.example/crane"]


def test_a_redirect_for_now_is_shown_with_its_end_and_left_alone() -> None:
    hops = (LinkHop(CRANE.url, 301), LinkHop("https://between.example/", 302))
    (finding,) = link_findings(LinkStatus(status=200, final_url="https://end.example/", hops=hops))
    assert "https://end.example/" in finding.message
    assert finding.fix is None


@pytest.mark.parametrize(("has_https", "is_fixed"), [(True, True), (False, False), (None, False)])
def test_an_unencrypted_link_becomes_https_only_where_that_answers_the_same(
    has_https: bool | None, is_fixed: bool
) -> None:
    url = "http://gazette.example/crane"
    (finding,) = link_findings(LinkStatus(status=200, final_url=url, has_https=has_https), url)
    assert (finding.fix is not None) is is_fixed
    if finding.fix:
        assert list(finding.fix.content.stories())[1].url == "https://gazette.example/crane"


def test_a_fix_reaches_every_place_that_links_there_and_nothing_else() -> None:
    old, new = "http://ropes.example/a", "https://ropes.example/a"
    body = f"[One]({old}) and <{old}>, not [another]({old}/b)."
    content = with_stories(replace(CRANE, url=old), replace(GAUGE, body="[Two](http://ropes.example/a)"))
    looks = {old: LinkStatus(status=200, final_url=old, has_https=True)}
    (fixable,) = (one for one in findings_of_family("links", replace(inspected(content), links=looks)) if one.fix)
    assert fixable.fix is not None
    fixed = list(fixable.fix.content.stories())
    assert (fixed[0].url, fixed[1].body) == (new, f"[Two]({new})")

    entangled = with_stories(replace(CRANE, url=old, body=body))
    findings = findings_of_family("links", replace(inspected(entangled), links=looks))
    assert [one.fix for one in findings if old in one.message] == [None]


def test_pictures_are_looked_at_too() -> None:
    picture = SectionContent(kind=SectionKind.IMAGE, image="https://p.example/lock.jpg", alt="The lock")
    content = replace(PLAIN_ISSUE, sections=(*PLAIN_ISSUE.sections, picture))
    looks = {url: LinkStatus(status=200, final_url=url) for url in (CRANE.url, GAUGE.url)}
    looks |= {picture.image: LinkStatus(status=404)}
    (finding,) = findings_of_family("links", replace(inspected(content), links=looks))
    assert finding.place == "Image, part 3"
    assert finding.message.startswith("The picture https://p.example/lock.jpg leads to a page that is gone")


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
def test_addresses_in_the_blocks_of_a_theme_must_lead_somewhere(html: str, expected: str | None) -> None:
    findings = findings_of_family("links", replace(mail(html), links=inspection_of(PLAIN_ISSUE).links))
    assert short(findings) == ([(expected, "links", "Theme")] if expected else [])


def test_a_link_of_an_editor_is_told_of_once() -> None:
    content = with_stories(CRANE, replace(GAUGE, body="See [there](/nowhere)."))
    assert short(
        findings_of_family(
            "links",
            replace(
                mail('<a href="/nowhere">there</a>'),
                content=content,
                links={story.url: ANSWERS for story in (CRANE, GAUGE)},
            ),
        )
    ) == [("error", "links", "Deep dives, story 2")]


def test_mail_addresses_are_no_pages_that_answer() -> None:
    content = with_stories(replace(CRANE, url="", body="Write to [us](mailto:notes@mail.example.org)."))
    assert passed_links(inspected(content)) == "There are no links that could lead nowhere"
