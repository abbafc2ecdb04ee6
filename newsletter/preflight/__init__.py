"""Pre-flight: findings about an issue, its rendering and its audience.

    issue, rendering, audience ─► gather ─► Inspection ─► FAMILIES ─► findings ─► PreflightResult ─► PreflightRun
                                     ▲
    request ─► link_checks ──────────┘   runs in the background

Each family is one module with one pure function that takes an Inspection. To add a check, see
docs/add-a-preflight-check.md.
"""

from newsletter.preflight.families import FAMILIES, run_checks
from newsletter.preflight.findings import (
    AudienceSnapshot,
    Family,
    Finding,
    Fix,
    Inspection,
    Rendered,
    Sender,
    Severity,
    apply_fixes,
)
from newsletter.preflight.link_checks import check_next_links, request_link_checks
from newsletter.preflight.record import PreflightResult, Trigger, record_run, recorded_findings, run_preflight

__all__ = [
    "FAMILIES",
    "AudienceSnapshot",
    "Family",
    "Finding",
    "Fix",
    "Inspection",
    "PreflightResult",
    "Rendered",
    "Sender",
    "Severity",
    "Trigger",
    "apply_fixes",
    "check_next_links",
    "record_run",
    "recorded_findings",
    "request_link_checks",
    "run_checks",
    "run_preflight",
]
