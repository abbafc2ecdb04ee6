"""Checks of the mail's weight: Gmail cuts an HTML part off at about 102,000 bytes, unsubscribe link included. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.preflight.findings import Finding, Inspection, Severity

FAMILY = "size"
MOST_BYTES = 100_000
MANY_BYTES = 90_000


def check_size(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: an HTML part of more than 100,000 bytes. To look at: more than 90,000 (R-26)."""
    if inspection.rendered is None:
        return
    weight = len(inspection.rendered.html.encode())
    if weight > MOST_BYTES:
        yield Finding(
            Severity.MUST_FIX,
            FAMILY,
            "HTML part",
            f"The HTML part has {weight:,} bytes. Above {MOST_BYTES:,} Gmail hides the end: shorten or remove stories.",
        )
    elif weight > MANY_BYTES:
        yield Finding(
            Severity.LOOK_AT,
            FAMILY,
            "HTML part",
            f"The HTML part has {weight:,} bytes, close to the {MOST_BYTES:,} above which Gmail hides the end.",
        )
