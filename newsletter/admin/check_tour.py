"""The strip on top of the compose page that leads through the places of one kind of finding."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from newsletter.admin.check_groups import Places, tour_url
from newsletter.models import Issue
from newsletter.preflight import recorded_findings
from newsletter.preflight.kinds import code_of


@dataclass(frozen=True, slots=True)
class Tour:
    """One stop: the problem, and the page of the next one."""

    number: int
    count: int
    message: str
    next_url: str
    """Empty at the last one."""


def tour_of(request: HttpRequest, issue: Issue) -> Tour | None:
    """The stop that `?check=` (a kind) and `?at=` (a number, from 1) name, by the last check; None without one."""
    kind, at = request.GET.get("check", ""), request.GET.get("at", "1")
    run = issue.preflight_runs.order_by("-pk").first() if kind else None
    findings = [one for one in recorded_findings(run) if code_of(one) == kind] if run else []
    number = int(at) if at.isascii() and at.isdigit() and len(at) < 6 else 0
    if not 0 < number <= len(findings):
        return None
    following = tour_url(Places.of(issue), findings, number + 1) if number < len(findings) else ""
    return Tour(number, len(findings), findings[number - 1].message, following)
