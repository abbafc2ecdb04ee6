"""Pre-flight: findings about an issue, its rendering and its audience. May import content, rendering and models.

    issue, rendering, audience ─► Inspection ─► each family of FAMILIES ─► findings, what must be fixed first

Each family is one module and one pure function on an Inspection. To add a check, see docs/add-a-preflight-check.md.
"""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

from django.utils import timezone

from newsletter.content.store import load_content
from newsletter.models import Issue
from newsletter.preflight.audience import check_audience
from newsletter.preflight.compliance import check_compliance
from newsletter.preflight.content import check_content
from newsletter.preflight.envelope import check_envelope
from newsletter.preflight.findings import Check, Finding, Inspection, Rendered, Sender, Severity
from newsletter.preflight.size import check_size

__all__ = ["FAMILIES", "Finding", "Inspection", "Rendered", "Sender", "Severity", "check_issue", "run_checks"]

FAMILIES: tuple[Check, ...] = (check_content, check_envelope, check_compliance, check_size, check_audience)


def check_issue(issue: Issue, *, audience: int, rendered: Rendered | None) -> tuple[Finding, ...]:
    """Everything that must be fixed before `issue` may go out, then what deserves a look.

    `audience` is how many readers it would go to. `rendered` is what would go out, fresh or frozen; None where it
    could not be rendered, which is for the caller to tell: the checks of the rendering are left out then.
    """
    newsletter = issue.newsletter
    return run_checks(
        Inspection(
            content=load_content(issue),
            sender=Sender(
                name=newsletter.sender_name,
                email=newsletter.sender_email,
                postal_address=newsletter.postal_address,
            ),
            send_day=_send_day(issue),
            audience=audience,
            rendered=rendered,
        )
    )


def run_checks(inspection: Inspection) -> tuple[Finding, ...]:
    """What all families find, what must be fixed first, else in the order of FAMILIES."""
    findings = [finding for check in FAMILIES for finding in check(inspection)]
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.MUST_FIX))


def _send_day(issue: Issue) -> datetime.date:
    """The day on clocks in the newsletter's zone when the issue goes out: as scheduled, or now."""
    zone = ZoneInfo(issue.scheduled_zone or issue.newsletter.time_zone)
    return (issue.scheduled_at or timezone.now()).astimezone(zone).date()
