"""Findings of one kind under one heading, where a flaw repeats itself in many places. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from newsletter.config.translatable import translatable_plural
from newsletter.preflight.findings import Finding, Severity

Heading = Callable[[int], str]
"""The heading over so many findings."""

HEADINGS: Mapping[str, Heading] = {
    "content.story_without_title": lambda count: translatable_plural(
        "{count} story has no title", "{count} stories have no title", count=count
    ),
    "content.story_without_link": lambda count: translatable_plural(
        "{count} story has no link", "{count} stories have no link", count=count
    ),
    "content.story_without_text": lambda count: translatable_plural(
        "{count} story has no text", "{count} stories have no text", count=count
    ),
    "content.long_story": lambda count: translatable_plural(
        "{count} story is long", "{count} stories are long", count=count
    ),
    "content.empty_section": lambda count: translatable_plural(
        "{count} section is empty", "{count} sections are empty", count=count
    ),
    "content.duplicate_link": lambda count: translatable_plural(
        "{count} link is in the issue twice", "{count} links are in the issue twice", count=count
    ),
    "content.duplicate_title": lambda count: translatable_plural(
        "{count} title is in the issue twice", "{count} titles are in the issue twice", count=count
    ),
    "content.link_sent_before": lambda count: translatable_plural(
        "{count} link ran in an earlier issue", "{count} links ran in an earlier issue", count=count
    ),
    "content.title_sent_before": lambda count: translatable_plural(
        "{count} title ran in an earlier issue", "{count} titles ran in an earlier issue", count=count
    ),
    "content.comment": lambda count: translatable_plural(
        "{count} comment is not shown", "{count} comments are not shown", count=count
    ),
    "content.shown_differently": lambda count: translatable_plural(
        "{count} place is shown differently in a mail", "{count} places are shown differently in a mail", count=count
    ),
    "links.gone": lambda count: translatable_plural(
        "{count} page does not exist any more", "{count} pages do not exist any more", count=count
    ),
    "links.no_response": lambda count: translatable_plural(
        "{count} address did not respond", "{count} addresses did not respond", count=count
    ),
    "links.rejects_bots": lambda count: translatable_plural(
        "{count} server rejects automated requests", "{count} servers reject automated requests", count=count
    ),
    "links.server_error": lambda count: translatable_plural(
        "{count} server reports an internal error", "{count} servers report an internal error", count=count
    ),
    "links.client_error": lambda count: translatable_plural(
        "{count} server does not accept the address", "{count} servers do not accept the address", count=count
    ),
    "links.moved": lambda count: translatable_plural(
        "{count} page has permanently moved", "{count} pages have permanently moved", count=count
    ),
    "links.redirects": lambda count: translatable_plural(
        "{count} address redirects to another", "{count} addresses redirect to others", count=count
    ),
    "links.https_available": lambda count: translatable_plural(
        "{count} link uses http instead of https", "{count} links use http instead of https", count=count
    ),
    "links.not_encrypted": lambda count: translatable_plural(
        "{count} link is not encrypted", "{count} links are not encrypted", count=count
    ),
    "links.invalid_story_link": lambda count: translatable_plural(
        "{count} story link is not a web address", "{count} story links are no web addresses", count=count
    ),
    "links.invalid_link_in_text": lambda count: translatable_plural(
        "{count} link in a text does not work in a mail", "{count} links in texts do not work in a mail", count=count
    ),
    "links.user_name_in_link": lambda count: translatable_plural(
        "{count} link has a user name before its site", "{count} links have a user name before their site", count=count
    ),
    "links.deceptive_host": lambda count: translatable_plural(
        "{count} link leads to a look-alike site", "{count} links lead to look-alike sites", count=count
    ),
    "links.words_name_another_site": lambda count: translatable_plural(
        "The text of {count} link names another site", "The texts of {count} links name other sites", count=count
    ),
    "links.link_of_a_subscriber": lambda count: translatable_plural(
        "{count} link belongs to a subscriber of another newsletter",
        "{count} links belong to subscribers of other newsletters",
        count=count,
    ),
    "links.id_of_a_subscriber": lambda count: translatable_plural(
        "{count} link contains the id of a subscriber", "{count} links contain the id of a subscriber", count=count
    ),
    "deliverability.shortened_link": lambda count: translatable_plural(
        "{count} link is shortened", "{count} links are shortened", count=count
    ),
    "deliverability.title_in_capitals": lambda count: translatable_plural(
        "{count} title is in capital letters", "{count} titles are in capital letters", count=count
    ),
    "accessibility.no_alternative_text": lambda count: translatable_plural(
        "{count} picture has no alternative text", "{count} pictures have no alternative text", count=count
    ),
}
"""By family and code. Findings of other kinds are shown one by one."""


@dataclass(frozen=True, slots=True)
class FindingKind:
    """Findings of one kind: at least two under a heading, or one without."""

    code: str
    """Family and code, as in HEADINGS."""
    heading: str
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """All its findings have the same."""
        return self.findings[0].severity


def code_of(finding: Finding) -> str:
    """Family and code of a finding: its kind."""
    return f"{finding.family}.{finding.code}"


def by_kind(findings: Iterable[Finding]) -> tuple[FindingKind, ...]:
    """The findings by kind, in the order of their first ones."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for number, finding in enumerate(findings):
        code = code_of(finding)
        alone = "" if code in HEADINGS else str(number)
        groups.setdefault((f"{finding.severity}.{code}", alone), []).append(finding)
    return tuple(_kind(tuple(group)) for group in groups.values())


def _kind(findings: tuple[Finding, ...]) -> FindingKind:
    code = code_of(findings[0])
    heading = HEADINGS[code](len(findings)) if len(findings) > 1 else ""
    return FindingKind(code, heading, findings)
