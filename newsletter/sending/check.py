"""Pre-flight for an issue as it would be sent."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping

from django.utils import timezone

from newsletter.config.translatable import translatable
from newsletter.content.store import load_content, save_content
from newsletter.models import Edition, Issue
from newsletter.preflight import (
    AudienceSnapshot,
    Finding,
    Fix,
    PreflightResult,
    Trigger,
    apply_fixes,
    record_run,
    request_link_checks,
    run_preflight,
)
from newsletter.rendering import RenderingError
from newsletter.sending.audience import Audience
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import prepare_edition


class SuggestionOutdated(Exception):
    """Pre-flight no longer suggests this fix. Nothing was changed. The message is shown to the editor."""


def check_issue(issue: Issue, *, by: str) -> PreflightResult:
    """Run pre-flight on the issue as it is saved, and record the run. A failed rendering is a finding."""
    result = preflight_issue(issue)
    record_run(issue, result, by=by)
    return result


def check_edition(
    issue: Issue,
    edition: Edition,
    *,
    trigger: Trigger,
    by: str,
    audience: AudienceSnapshot,
    sends_at: datetime.datetime | None = None,
) -> PreflightResult:
    """Run pre-flight on an edition, frozen or not yet, and record the run. `blocking` findings stop the issue.

    Scheduling requests link checks, so that their results are there when the issue starts. `sends_at`: the time at
    which it would be sent, in the zone in which it is shown; None: as its send is scheduled, else now.
    """
    if trigger is Trigger.SCHEDULE:
        request_link_checks(load_content(issue))
    result = preflight_edition(issue, edition, trigger=trigger, audience=audience, sends_at=sends_at)
    record_run(issue, result, by=by)
    return result


def preflight_issue(
    issue: Issue, *, audience: AudienceSnapshot | None = None, sends_at: datetime.datetime | None = None
) -> PreflightResult:
    """As `check_issue`, without recording the run. Without an `audience` that is known already, it is computed."""
    audience = audience or audience_snapshot(issue)
    try:
        edition = issue.edition or prepare_edition(issue)
    except (RenderingError, EnvelopeError) as error:
        return run_preflight(issue, None, audience=audience, render_error=_message_of(error), sends_at=sends_at)
    return preflight_edition(issue, edition, audience=audience, sends_at=sends_at)


def preflight_edition(
    issue: Issue,
    edition: Edition,
    *,
    audience: AudienceSnapshot,
    trigger: Trigger = Trigger.MANUAL,
    sends_at: datetime.datetime | None = None,
) -> PreflightResult:
    """As `check_edition`, without recording the run."""
    return run_preflight(issue, edition, audience=audience, trigger=trigger, sha256=edition.sha256, sends_at=sends_at)


def findings_of(issue: Issue) -> tuple[Finding, ...]:
    """The findings about the issue as it is saved, without recording the run."""
    return preflight_issue(issue).findings


def use_suggestions(issue: Issue, keys: Collection[str], *, revision: int, by: str) -> list[Fix]:
    """Save the issue with the fixes of these findings, as one revision; returns those that were made.

    `revision` is the one that was checked. On a newer revision the fixes are refused, since they could undo later
    changes. Raises SuggestionOutdated, or ContentError if the issue cannot be saved.
    """
    if issue.revision != revision:
        raise SuggestionOutdated(
            translatable(
                "The suggestion is for revision {checked}, and the issue has revision {current} by now. Nothing was "
                "changed. These are the findings for the current revision.",
                checked=revision,
                current=issue.revision,
            )
        )
    fixes = [finding.fix for finding in findings_of(issue) if finding.fix and finding.key in keys]
    if not fixes:
        raise SuggestionOutdated(translatable("This problem is already fixed. Nothing was changed."))
    label = fixes[0].label if len(fixes) == 1 else translatable("{count} changes", count=len(fixes))
    content = apply_fixes(load_content(issue), fixes)
    save_content(issue, content, by=by, based_on=revision, note=f"suggestion:{label}")
    return fixes


def audience_snapshot(issue: Issue) -> AudienceSnapshot:
    """The number of recipients if the issue started now, and of excluded subscribers by reason."""
    now, audience = timezone.now(), Audience.of(issue)
    count = sum(audience.once_each(place, now).count() for place in range(len(audience.lists)))
    return snapshot_of(audience, count, audience.excluded(now))


def snapshot_of(audience: Audience, count: int, excluded: Mapping[str, int]) -> AudienceSnapshot:
    """An audience, of which these numbers are known, as checks read it."""
    return AudienceSnapshot(
        count=count, excluded=excluded, is_narrowed=not audience.is_default, problems=audience.problems
    )


def _message_of(error: Exception) -> str:
    """The message as it was raised: `str(error)` would translate it before it is recorded."""
    return error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
