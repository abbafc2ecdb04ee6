"""Pre-flight: findings about an issue, its rendering and its audience.

    issue, rendering, audience ─► gather ─► Inspection ─► each of FAMILIES ─► findings ─► PreflightResult ─► PreflightRun
                                     ▲
    request ─► link_checks ──────────┘   looked at in a worker's errands

Each family is one module and one pure function on an Inspection. To add a check, see docs/add-a-preflight-check.md.
"""

from newsletter.preflight.families import FAMILIES, run_checks
from newsletter.preflight.findings import Audience, Family, Finding, Fix, Inspection, Rendered, Sender, Severity
from newsletter.preflight.link_checks import check_next_links, request_link_checks
from newsletter.preflight.record import Occasion, PreflightResult, judge_issue, keep_verdict

__all__ = [
    "FAMILIES",
    "Audience",
    "Family",
    "Finding",
    "Fix",
    "Inspection",
    "Occasion",
    "PreflightResult",
    "Rendered",
    "Sender",
    "Severity",
    "check_next_links",
    "judge_issue",
    "keep_verdict",
    "request_link_checks",
    "run_checks",
]
