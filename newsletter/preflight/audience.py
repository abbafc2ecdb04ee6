"""Checks of who would get the issue. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.preflight.findings import Finding, Inspection, Severity

FAMILY = "audience"


def check_audience(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: nobody would get it."""
    if inspection.audience == 0:
        yield Finding(
            Severity.MUST_FIX,
            FAMILY,
            "",
            "Nobody on the list may be mailed now. Add readers, or wait until some have confirmed.",
        )
