"""All families of checks, in the order of the page. Pure: Inspection in, findings out."""

from __future__ import annotations

from newsletter.preflight.accessibility import check_accessibility, passed_accessibility
from newsletter.preflight.audience import check_audience, passed_audience
from newsletter.preflight.clients import check_clients, passed_clients
from newsletter.preflight.compliance import check_compliance, passed_compliance
from newsletter.preflight.content import check_content, passed_content
from newsletter.preflight.deliverability import check_deliverability, passed_deliverability
from newsletter.preflight.findings import Family, Finding, Inspection, Severity
from newsletter.preflight.links import check_links, passed_links
from newsletter.preflight.rendering import check_rendering, passed_rendering
from newsletter.preflight.size import check_size, passed_size

FAMILIES: tuple[Family, ...] = (
    Family(name="rendering", check=check_rendering, passed=passed_rendering),
    Family(name="content", check=check_content, passed=passed_content),
    Family(name="links", check=check_links, passed=passed_links),
    Family(name="deliverability", check=check_deliverability, passed=passed_deliverability),
    Family(name="compliance", check=check_compliance, passed=passed_compliance),
    Family(name="size", check=check_size, passed=passed_size),
    Family(name="accessibility", check=check_accessibility, passed=passed_accessibility),
    Family(name="clients", check=check_clients, passed=passed_clients),
    Family(name="audience", check=check_audience, passed=passed_audience),
)


def run_checks(inspection: Inspection) -> tuple[Finding, ...]:
    """What all families find, what must be fixed first, else in the order of FAMILIES."""
    findings = [finding for family in FAMILIES for finding in family.check(inspection)]
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR))
