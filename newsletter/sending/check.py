"""Check: pre-flight on what would go out. Imports freeze, address and preflight."""

from __future__ import annotations

from django.utils import timezone

from newsletter.models import Edition, Issue
from newsletter.preflight import Audience, Finding, Occasion, Verdict, judge_issue, keep_verdict
from newsletter.rendering import RenderingError
from newsletter.sending.address import audience_of, excluded_from
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import prepare_edition


def check_issue(issue: Issue, *, by: str) -> Verdict:
    """What pre-flight says about the issue as it stands, kept for its history; a failing rendering is a finding."""
    verdict = judge_as_it_stands(issue)
    keep_verdict(issue, verdict, by=by)
    return verdict


def check_edition(issue: Issue, edition: Edition, *, occasion: Occasion, by: str) -> Verdict:
    """What pre-flight says about an edition, frozen or as it would be, kept. What is `blocking` must not go on."""
    verdict = judge_edition(issue, edition, occasion=occasion)
    keep_verdict(issue, verdict, by=by)
    return verdict


def judge_as_it_stands(issue: Issue) -> Verdict:
    """The same as `check_issue`, leaving no trace."""
    try:
        edition = issue.edition or prepare_edition(issue)
    except (RenderingError, EnvelopeError) as error:
        return judge_issue(issue, None, audience=audience_for(issue), unrendered=str(error))
    return judge_edition(issue, edition)


def judge_edition(issue: Issue, edition: Edition, *, occasion: Occasion = Occasion.CHECK) -> Verdict:
    """The same as `check_edition`, leaving no trace."""
    return judge_issue(issue, edition, audience=audience_for(issue), occasion=occasion, sha256=edition.sha256)


def findings_of(issue: Issue) -> tuple[Finding, ...]:
    """What pre-flight finds about the issue as it stands, leaving no trace."""
    return judge_as_it_stands(issue).findings


def audience_for(issue: Issue) -> Audience:
    """How many readers the issue would go to if it started now, and how many of the list it would not."""
    now, newsletter = timezone.now(), issue.newsletter_id
    return Audience(count=int(audience_of(newsletter, now).count()), left_out=excluded_from(newsletter, now))
