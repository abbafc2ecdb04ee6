"""The check that the issue can be rendered at all. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.preflight.findings import Finding, Inspection, must_fix
from newsletter.preflight.places import WHOLE_ISSUE

FAMILY = "rendering"


def check_rendering(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: whatever keeps it from becoming a mail."""
    if inspection.unrendered:
        yield must_fix(FAMILY, WHOLE_ISSUE, inspection.unrendered)


def passed_rendering(inspection: Inspection) -> str:
    """What to say where nothing was found."""
    return "" if inspection.rendered is None else "It can be rendered, in both parts"
