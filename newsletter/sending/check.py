"""Check: pre-flight on what would go out."""

from __future__ import annotations

from django.utils import timezone

from newsletter.content.store import load_content, save_content
from newsletter.models import Edition, Issue
from newsletter.preflight import (
    Audience,
    Finding,
    Occasion,
    PreflightResult,
    judge_issue,
    keep_verdict,
    request_link_checks,
)
from newsletter.rendering import RenderingError
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.expand import audience_of, excluded_from
from newsletter.sending.freeze import prepare_edition


class SuggestionIsGone(Exception):
    """The suggestion that somebody pressed is not what pre-flight suggests now; nothing was changed."""

    permanent = True


def check_issue(issue: Issue, *, by: str) -> PreflightResult:
    """What pre-flight says about the issue as it stands, kept for its history; a failing rendering is a finding."""
    result = judge_as_it_stands(issue)
    keep_verdict(issue, result, by=by)
    return result


def check_edition(issue: Issue, edition: Edition, *, occasion: Occasion, by: str) -> PreflightResult:
    """What pre-flight says about an edition, frozen or as it would be, kept. What is `blocking` must not go on.

    Who schedules without a look at the checks has the links looked at until the issue starts.
    """
    if occasion is Occasion.SCHEDULE:
        request_link_checks(load_content(issue))
    result = judge_edition(issue, edition, occasion=occasion)
    keep_verdict(issue, result, by=by)
    return result


def judge_as_it_stands(issue: Issue) -> PreflightResult:
    """The same as `check_issue`, leaving no trace."""
    try:
        edition = issue.edition or prepare_edition(issue)
    except (RenderingError, EnvelopeError) as error:
        return judge_issue(issue, None, audience=audience_for(issue), unrendered=str(error))
    return judge_edition(issue, edition)


def judge_edition(issue: Issue, edition: Edition, *, occasion: Occasion = Occasion.CHECK) -> PreflightResult:
    """The same as `check_edition`, leaving no trace."""
    return judge_issue(issue, edition, audience=audience_for(issue), occasion=occasion, sha256=edition.sha256)


def findings_of(issue: Issue) -> tuple[Finding, ...]:
    """What pre-flight finds about the issue as it stands, leaving no trace."""
    return judge_as_it_stands(issue).findings


def use_suggestion(issue: Issue, key: str, *, revision: int, by: str) -> str:
    """Save the issue with the finding `key` put right; what was done, in words.

    `revision` is the one that the findings were about: on any other nothing is changed, since what was suggested then
    might undo what somebody wrote since. Raises SuggestionIsGone, or ContentError as saving does.
    """
    if issue.revision != revision:
        raise SuggestionIsGone(
            f"The issue was saved meanwhile: the suggestion was about revision {revision}, and it is at "
            f"{issue.revision} now. Nothing was changed. Here is what the checks say about it now."
        )
    fix = next((finding.fix for finding in findings_of(issue) if finding.key == key), None)
    if fix is None:
        raise SuggestionIsGone("There is nothing to put right there any more. Nothing was changed.")
    save_content(issue, fix.content, by=by, based_on=revision, note=f"Suggestion used: {fix.label}"[:200])
    return fix.label


def audience_for(issue: Issue) -> Audience:
    """How many readers the issue would go to if it started now, and how many of the list it would not."""
    now, newsletter = timezone.now(), issue.newsletter_id
    return Audience(count=int(audience_of(newsletter, now).count()), left_out=excluded_from(newsletter, now))
