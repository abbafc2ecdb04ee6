"""All families of checks, in the order of the page, and the family `rendering`. Pure: Inspection in, findings out."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from newsletter.config.translatable import translatable
from newsletter.preflight.accessibility import check_accessibility, passed_accessibility
from newsletter.preflight.audience import check_audience, passed_audience
from newsletter.preflight.clients import check_clients, passed_clients
from newsletter.preflight.compliance import check_compliance, passed_compliance
from newsletter.preflight.content import check_content, passed_content
from newsletter.preflight.deliverability import check_deliverability, passed_deliverability
from newsletter.preflight.findings import (
    AudienceSnapshot,
    Family,
    Finding,
    Inspection,
    LinkStatus,
    Rendered,
    Sender,
    Severity,
    error,
)
from newsletter.preflight.links import check_links, passed_links
from newsletter.preflight.pictures import check_pictures, passed_pictures
from newsletter.preflight.places import HTML_PART, TEXT_PART, THEME, WHOLE_ISSUE, placed_links
from newsletter.preflight.size import check_size, passed_size
from newsletter.rendering.sample_issue import MASTHEAD, sample_issue

_PLACES_OF_A_THEME = frozenset({THEME, HTML_PART, TEXT_PART})


def check_rendering(inspection: Inspection) -> Iterator[Finding]:
    """Error: the issue cannot be rendered."""
    if inspection.render_error:
        yield error("rendering", "not_rendered", WHOLE_ISSUE, inspection.render_error)


def passed_rendering(inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    return "" if inspection.rendered is None else translatable("The HTML part and the text part can be rendered.")


FAMILIES: tuple[Family, ...] = (
    Family(name="rendering", check=check_rendering, passed=passed_rendering),
    Family(name="content", check=check_content, passed=passed_content),
    Family(name="links", check=check_links, passed=passed_links),
    Family(name="deliverability", check=check_deliverability, passed=passed_deliverability),
    Family(name="compliance", check=check_compliance, passed=passed_compliance),
    Family(name="size", check=check_size, passed=passed_size),
    Family(name="pictures", check=check_pictures, passed=passed_pictures),
    Family(name="accessibility", check=check_accessibility, passed=passed_accessibility),
    Family(name="clients", check=check_clients, passed=passed_clients),
    Family(name="audience", check=check_audience, passed=passed_audience),
)


def run_checks(inspection: Inspection) -> tuple[Finding, ...]:
    """The findings of all families: errors first, then in the order of FAMILIES."""
    findings = [finding for family in FAMILIES for finding in family.check(inspection)]
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR))


def check_theme_rendering(rendered: Rendered) -> tuple[Finding, ...]:
    """The findings about the sample issue that the theme causes, so that every issue in this theme has them."""
    content = sample_issue()
    findings = run_checks(
        Inspection(
            content=content,
            sender=Sender(name=MASTHEAD.name, email="desk@slipway.example", postal_address=MASTHEAD.postal_address),
            sends_at=datetime.datetime.combine(content.date, datetime.time(12), datetime.UTC),
            audience=AudienceSnapshot(count=1),
            rendered=rendered,
            links={link.url: LinkStatus(status=200, final_url=link.url) for link in placed_links(content)},
        )
    )
    return tuple(finding for finding in findings if finding.place in _PLACES_OF_A_THEME)
