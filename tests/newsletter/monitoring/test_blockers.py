"""Hindrances: a send that is under way and does not move says why, on its report and in `status`."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from newsletter.admin.pages import page_url
from newsletter.models import Batch, BatchState, Issue, IssueStatus, Newsletter, ProviderThrottle
from newsletter.monitoring.blockers import blockers_of
from newsletter.monitoring.diagnostics import Severity, paused_diagnostics
from newsletter.monitoring.doctor import issue_diagnostics
from newsletter.monitoring.status import as_lines
from newsletter.providers import get_route
from tests.newsletter.monitoring.conftest import a_worker, ago, set_batch


def why(issue: Issue) -> list[str]:
    return [diagnostic.name for diagnostic in blockers_of(issue)]


def test_a_send_that_moves_has_none(issue: Issue) -> None:
    a_worker()
    assert why(issue) == []
    assert "does not move" not in "\n".join(as_lines([issue]))


def test_without_a_worker_the_report_and_the_status_say_so(issue: Issue, admin_client: Client) -> None:
    assert why(issue) == ["worker"]
    assert "does not move: No worker runs" in "\n".join(as_lines([issue]))
    page = admin_client.get(page_url(issue, "report")).content.decode()
    assert "<strong>Does not move:</strong> No worker runs" in page
    assert "manage.py worker" in page


def test_a_provider_that_takes_no_mail(issue: Issue) -> None:
    a_worker()
    (provider,) = get_route()
    ProviderThrottle.objects.create(
        provider=provider.name, account=provider.account, suspended_at=timezone.now(), code="invalid_api_key"
    )
    assert why(issue) == ["flow"]
    assert "does not accept the API key." in blockers_of(issue)[0].sentence


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"hourly_limit": 4}, "4 mails an hour."),
        ({"warm_up_since": timezone.now().date(), "hourly_limit": 4}, "4 mails an hour and 150 mails on day 1"),
    ],
    ids=str,
)
def test_a_newsletter_whose_own_pace_leaves_no_room(
    issue: Issue, batches: list[Batch], limits: dict[str, object], said: str
) -> None:
    a_worker()
    Newsletter.objects.update(**limits)
    for batch in batches[:2]:
        set_batch(batch, state=BatchState.ACCEPTED, first_attempt_at=ago(minutes=9), finished_at=ago(minutes=9))
    issue = Issue.objects.get()
    (diagnostic,) = blockers_of(issue)
    assert diagnostic.sentence.startswith("Harbour Notes has sent what its own pace allows: ")
    assert said in diagnostic.sentence
    assert diagnostic.sentence in {found.sentence for found in issue_diagnostics(issue)}, "the doctor says it, too"


def test_what_is_paused_waits_for_no_worker_and_names_no_next_try(issue: Issue, batches: list[Batch]) -> None:
    set_batch(batches[0], attempts=2, reason="Too many requests.", not_before=ago(minutes=-4))
    assert "next try" in "\n".join(as_lines([issue]))
    issue.move(IssueStatus.PAUSED, by="Edda")
    assert why(issue) == []
    assert "next try" not in "\n".join(as_lines([issue]))


def test_a_pause_that_ends_by_itself_asks_nobody_to_end_it(issue: Issue) -> None:
    issue.move(IssueStatus.PAUSED, by="worker", hold_reason="The quota is used up", waits_for_provider=True)
    (diagnostic,) = paused_diagnostics()
    assert diagnostic.severity is Severity.LOOK
    assert diagnostic.sentence.endswith("is paused by worker: The quota is used up.")
    assert diagnostic.advice.startswith("It goes on by itself")
