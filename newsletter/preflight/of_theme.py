"""What pre-flight would say about every issue in a theme, judged on the sample_issue issue. Pure."""

from __future__ import annotations

import datetime

from newsletter.preflight.families import run_checks
from newsletter.preflight.findings import Audience, Finding, Inspection, LinkLook, Rendered, Sender
from newsletter.preflight.places import HTML_PART, TEXT_PART, THEME, placed_links
from newsletter.rendering.sample_issue import MASTHEAD, sample_issue

_OF_THE_THEME = frozenset({THEME, HTML_PART, TEXT_PART})


def theme_findings(rendered: Rendered) -> tuple[Finding, ...]:
    """What is found in the sample_issue as a theme renders it, and would be found in any other issue."""
    content = sample_issue()
    found = run_checks(
        Inspection(
            content=content,
            sender=Sender(
                name=MASTHEAD.name, email="background@slipway.example", postal_address=MASTHEAD.postal_address
            ),
            moment=datetime.datetime.combine(content.date, datetime.time(12), datetime.UTC),
            audience=Audience(count=1),
            rendered=rendered,
            links={link.url: LinkLook(status=200, final_url=link.url) for link in placed_links(content)},
        )
    )
    return tuple(finding for finding in found if finding.place in _OF_THE_THEME)
