"""The manifest: the same while nothing changes; it stops a send that differs from the approved one."""

from __future__ import annotations

import datetime
import hashlib
from decimal import Decimal
from typing import Any

import orjson
import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.document import SectionContent
from newsletter.content.store import save_content
from newsletter.models import (
    Batch,
    BatchState,
    Edition,
    Issue,
    IssueState,
    Newsletter,
    Reason,
    Send,
    SendState,
    SendTransition,
)
from newsletter.sending.manifest import (
    Approval,
    Estimate,
    Manifest,
    ManifestSummary,
    ManifestUnreadable,
    count_batches,
    estimate_for,
    read_manifest,
)
from newsletter.sending.schedule import (
    IssueRefused,
    dry_run,
    schedule_issue,
    send_now,
    start_next_due_send,
    unschedule_send,
)
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.publications import content, expand_audiences, just_now, make_issue, send_of

TOMORROW = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, second=0, microsecond=0) + datetime.timedelta(
    days=1
)


@pytest.fixture
def ready(issue: Issue) -> Issue:
    """A complete draft of a list with subscribers in every state: Ada gets it, the others do not."""
    for member in (people.ada, people.ben, people.cleo, people.dina, people.emil, people.finn):
        member(issue.newsletter)
    return issue


@pytest.mark.django_db
def test_the_audience_hash_is_the_sha256_of_the_keys_in_order_on_every_database(ready: Issue) -> None:
    for number in range(3):
        people.make_subscription(f"reader-{number}@example.org", ready.newsletter)
    keys = Subscription.objects.mailable(timezone.now()).order_by("pk").values_list("key", flat=True)
    manifest = dry_run(ready)
    assert manifest.recipients == len(keys) == 4
    assert manifest.recipients_sha256 == hashlib.sha256(b"".join(key.bytes for key in keys)).hexdigest()


def one_leaves() -> None:
    Subscription.objects.filter(subscriber__address=people.ADA).update(state=SubscriptionState.UNSUBSCRIBED)


def one_joins(issue: Issue) -> None:
    people.make_subscription("new@example.org", issue.newsletter)


def two_join(issue: Issue) -> None:
    one_joins(issue)
    people.make_subscription("newer@example.org", issue.newsletter)


def one_goes_and_one_comes(issue: Issue) -> None:
    one_leaves()
    one_joins(issue)


def schedule(issue: Issue, **options: Any) -> Send:
    return schedule_issue(issue, wall=TOMORROW, zone="UTC", by="Edda", **options)


def make_due() -> None:
    Send.objects.filter(state=SendState.SCHEDULED).update(scheduled_at=just_now())


def test_it_names_what_is_sent_to_how_many_and_who_is_excluded(ready: Issue) -> None:
    manifest = dry_run(ready)
    assert (manifest.newsletter, manifest.issue, manifest.revision) == ("harbour-notes", "issue-1", 1)
    assert manifest.subject == "Taller cranes, quieter ferries"
    assert manifest.sender == "Harbour Notes <notes@mail.example.org>"
    assert (manifest.recipients, manifest.batches) == (1, 1)
    assert manifest.excluded == {"waiting_for_confirmation": 1, "unsubscribed": 1, "suppressed": 2, "paused": 1}
    assert manifest.html_bytes > 5_000 > manifest.text_bytes > 500
    assert next((link.url, link.place, link.count) for link in manifest.links) == (
        "https://harbour.example/cranes/1",
        "Deep dives, story 1",
        1,
    )


def test_two_dry_runs_of_an_unchanged_issue_are_equal_byte_for_byte_and_store_nothing(ready: Issue) -> None:
    first, second = dry_run(ready), dry_run(Issue.objects.get(pk=ready.pk))
    assert first.as_text() == second.as_text()
    assert not Edition.objects.exists()
    assert not SendTransition.objects.exists()
    assert send_now(ready, by="Edda").edition.sha256 == first.edition


def test_it_holds_no_address(ready: Issue) -> None:
    assert people.ADA not in dry_run(ready).as_text()


def test_a_link_that_occurs_twice_is_listed_once_with_its_count(ready: Issue) -> None:
    body = "[One](https://ferry.example/) and [two](https://ferry.example/)."
    save_content(ready, content(sections=(*content().sections, SectionContent(title="More", body=body))), by="tests")
    assert [(link.label, link.count) for link in dry_run(ready).links if "ferry" in link.url] == [("One", 2)]


def test_it_can_be_written_and_read_again(ready: Issue) -> None:
    manifest = dry_run(ready)
    assert read_manifest(orjson.loads(manifest.as_text())) == manifest
    assert Approval.parse(manifest.as_text()) == Approval.of(manifest)
    assert Approval.parse(ManifestSummary.of(manifest).as_text()) == Approval.of(manifest)
    assert Approval.parse(f" {manifest.sha256}\n") == Approval(sha256=manifest.sha256)


@pytest.mark.parametrize("text", ["", "abc", "{}", "[]", "null", '{"sha256": 1}', "f" * 63, "{"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ManifestUnreadable, match="manifest"):
        Approval.parse(text)


def test_a_manifest_that_was_changed_by_hand_is_refused(ready: Issue) -> None:
    changed = dry_run(ready).as_json() | {"recipients": 100}
    with pytest.raises(ManifestUnreadable, match="was changed"):
        read_manifest(changed)


@pytest.mark.parametrize("recipients", [1, 99, 100, 101, 4_999, 5_000, 5_001, 12_345])
def test_within_a_chunk_batches_are_as_full_as_they_can_be(recipients: int) -> None:
    assert count_batches(recipients, 100) == -(-recipients // 100)


def test_the_number_of_batches_is_the_one_that_expanding_cuts(ready: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.sending.manifest.RECIPIENTS_PER_CHUNK", 20)
    people.make_subscriptions(47, ready.newsletter)
    send_now(ready, by="Edda")
    expand_audiences(batch_size=8, chunk=20)
    assert Batch.objects.count() == count_batches(48, 8) == 3 + 3 + 1


def test_the_estimate_reserves_a_share_for_transactional_mails(settings: Any) -> None:
    from newsletter.providers import get_provider

    settings.PRICE_PER_THOUSAND = None
    estimate = estimate_for(120_000, get_provider())
    assert (estimate.posts_per_second, estimate.seconds, estimate.minutes) == (10.0, 150, 3)
    assert (estimate.price_per_thousand, estimate.cost) == (None, None)


def test_the_cost_follows_from_the_price_to_the_cent(settings: Any) -> None:
    from newsletter.providers import get_provider

    settings.PRICE_PER_THOUSAND, settings.PRICE_CURRENCY = Decimal("0.40"), "EUR"
    estimate = estimate_for(12_412, get_provider())
    assert (estimate.cost, estimate.currency) == ("4.96", "EUR")


def test_the_cost_is_the_part_of_the_tier_that_the_month_needs(ready: Issue, settings: Any) -> None:
    from newsletter.providers import get_provider

    settings.PRICE_TIERS, settings.PRICE_PER_THOUSAND = "resend", Decimal(7)
    estimate = estimate_for(50_000, get_provider())
    assert (estimate.cost, estimate.tier_price, estimate.tier_up_to) == ("20.00", "20.00", 50_000)
    send_now(ready, by="Edda")
    expand_audiences()
    Batch.objects.update(state=BatchState.ACCEPTED, recipients=30_000, first_attempt_at=timezone.now())
    estimate = estimate_for(50_000, get_provider())
    assert (estimate.cost, estimate.tier_price, estimate.tier_up_to) == ("45.00", "90.00", 100_000)
    estimate = estimate_for(2_500_000, get_provider())
    assert (estimate.cost, estimate.tier_up_to, estimate.tier_unit) == (None, None, "mails")


def test_a_price_by_contacts_holds_any_number_of_mails(ready: Issue, settings: Any) -> None:
    from newsletter.providers import get_provider

    settings.PRICE_TIERS = "contacts:1=10,500=25"
    people.make_subscriptions(3, ready.newsletter)
    estimate = estimate_for(100_000, get_provider())
    assert (estimate.cost, estimate.tier_price, estimate.tier_up_to) == ("0.00", "25.00", 500)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (one_joins, "The audience changed from 1 to 2 recipients"),
        (two_join, "The audience changed from 1 to 3 recipients"),
        (one_goes_and_one_comes, "as many subscribers left as joined"),
        (lambda issue: save_content(issue, content(subject="Other words"), by="Emma"), "to “Other words”"),
        (lambda issue: save_content(issue, content(preheader="Other"), by="Emma"), "The content or the design changed"),
        (lambda issue: Newsletter.objects.update(sender_name="Quay Notes"), "The sender changed from Harbour Notes <"),
        (lambda issue: save_content(issue, content(stories=5), by="Emma"), "The content or the design changed"),
    ],
    ids=["joined", "two joined", "swapped", "subject", "preheader", "sender", "links"],
)
def test_a_send_that_is_not_the_approved_one_is_refused_and_says_what_differs(
    ready: Issue, change: Any, sentence: str
) -> None:
    approved = Approval.of(dry_run(ready))
    change(ready)
    ready = Issue.objects.get(pk=ready.pk)
    with pytest.raises(IssueRefused) as refused:
        send_now(ready, by="Edda", approved=approved)
    assert sentence in str(refused.value)
    assert (Issue.objects.get(pk=ready.pk).status, Send.objects.count()) == (IssueState.DRAFT, 0)
    with pytest.raises(IssueRefused, match="is out of date"):
        send_now(ready, by="Edda", approved=Approval(sha256=approved.sha256))
    send_now(ready, by="Edda", approved=Approval.of(dry_run(ready)))


def test_the_manifest_of_another_issue_starts_nothing(ready: Issue) -> None:
    other = make_issue("issue-2")
    with pytest.raises(IssueRefused, match="made for the issue “issue-2”"):
        send_now(ready, by="Edda", approved=Approval.of(dry_run(other)))


def test_an_unconfirmed_sign_up_does_not_stop_an_approved_send(ready: Issue) -> None:
    approved = Approval.of(dry_run(ready))
    people.make_subscription("curious@example.org", ready.newsletter, state=SubscriptionState.PENDING)
    send_now(ready, by="Edda", approved=approved)
    assert ready.status == SendState.SENDING


def test_every_start_records_its_manifest_and_an_approved_one_its_sha256(ready: Issue) -> None:
    manifest = dry_run(ready)
    send = send_now(ready, by="Edda", approved=Approval.of(manifest))
    assert read_manifest(send.manifest) == manifest
    assert send.approved_sha256 == manifest.sha256


def test_the_audience_of_a_scheduled_issue_may_change_and_the_start_records_it(ready: Issue) -> None:
    schedule(ready, approved=Approval.of(dry_run(ready)))
    one_joins(ready)
    make_due()
    start_next_due_send()
    send = send_of(ready)
    assert send.state == SendState.SENDING
    assert read_manifest(send.manifest).recipients == 2
    assert send.approved_sha256 == ""


def test_a_subscriber_who_joins_during_scheduling_does_not_stop_it(ready: Issue) -> None:
    approved = Approval.of(dry_run(ready))
    one_joins(ready)
    schedule(ready, approved=approved)
    assert ready.status == SendState.SCHEDULED


@pytest.mark.parametrize("same_audience", [True, False])
def test_changed_content_is_never_scheduled_under_an_old_approval(ready: Issue, same_audience: bool) -> None:
    approved = Approval.of(dry_run(ready))
    save_content(ready, content(subject="Other words"), by="Emma")
    with pytest.raises(IssueRefused, match="to “Other words”"):
        schedule(ready, approved=approved, same_audience=same_audience)


def test_a_send_for_the_approved_audience_only_is_withdrawn_when_it_changed(ready: Issue) -> None:
    schedule(ready, same_audience=True)
    one_joins(ready)
    make_due()
    start_next_due_send()
    ready.refresh_from_db()
    assert (ready.status, ready.hold_reason) == (IssueState.DRAFT, Reason.NOT_STARTED)
    assert "The audience changed from 1 to 2 recipients" in ready.hold_sentence
    assert Send.objects.get().state == SendState.WITHDRAWN


def test_a_send_for_the_approved_audience_only_starts_while_it_is_the_same(ready: Issue) -> None:
    approved = schedule(ready, same_audience=True).approved_sha256
    make_due()
    start_next_due_send()
    send = send_of(ready)
    assert (send.state, send.approved_sha256) == (SendState.SENDING, approved)


def test_a_new_schedule_has_a_manifest_of_its_own(ready: Issue) -> None:
    unschedule_send(schedule(ready, same_audience=True), by="Edda")
    one_joins(ready)
    assert read_manifest(schedule(ready).manifest).recipients == 2


def test_a_stored_manifest_of_another_version_still_decides(ready: Issue) -> None:
    schedule(ready, same_audience=True)
    Send.objects.update(manifest={"version": 0})
    one_joins(ready)
    make_due()
    start_next_due_send()
    ready.refresh_from_db()
    assert "is out of date" in ready.hold_sentence


def test_a_scheduled_issue_is_rehearsed_as_it_was_frozen(ready: Issue) -> None:
    schedule(ready)
    assert ready.edition is not None
    Newsletter.objects.update(name="Renamed")
    assert dry_run(Issue.objects.get(pk=ready.pk)).edition == ready.edition.sha256


def test_an_issue_that_cannot_be_sent_is_refused_with_every_reason(issue: Issue) -> None:
    Newsletter.objects.update(postal_address="")
    with pytest.raises(IssueRefused) as refused:
        dry_run(Issue.objects.get(pk=issue.pk))
    assert len(refused.value.sentences) == 2


def test_a_started_issue_has_no_dry_run(ready: Issue) -> None:
    send_now(ready, by="Edda")
    with pytest.raises(IssueRefused, match="started already"):
        dry_run(ready)


def test_a_scheduled_issue_without_an_audience_is_not_sent_now(ready: Issue) -> None:
    schedule(ready)
    one_leaves()
    with pytest.raises(IssueRefused, match="no active subscribers"):
        send_now(ready, by="Edda")


def test_a_dry_run_takes_a_fixed_number_of_queries(ready: Issue, django_assert_max_num_queries: Any) -> None:
    people.make_subscriptions(250, ready.newsletter)
    with django_assert_max_num_queries(20):
        dry_run(ready)


texts = st.text(st.characters(codec="utf-8"), max_size=20)
estimates = st.builds(
    Estimate,
    seconds=st.integers(0, 10**6),
    posts_per_second=st.floats(0.5, 100),
    price_per_thousand=st.none() | st.just("0.40"),
    cost=st.none() | st.just("4.96"),
    currency=texts,
)
manifests = st.builds(
    Manifest,
    estimate=estimates,
    newsletter=texts,
    issue=texts,
    edition=texts,
    subject=texts,
    sender=texts,
    recipients=st.integers(0, 10**7),
    revision=st.integers(0, 10**6),
    html_bytes=st.integers(0, 10**6),
    text_bytes=st.integers(0, 10**6),
    batches=st.integers(0, 10**5),
    links=st.just(()),
    excluded=st.dictionaries(texts, st.integers(0, 10**6), max_size=3),
)


@given(manifests, manifests)
def test_a_differing_manifest_has_differences_and_an_equal_one_has_none(one: Manifest, other: Manifest) -> None:
    assert Approval.of(one).differences(one) == ()
    assert bool(Approval.of(one).differences(other)) is (one.sha256 != other.sha256)
    assert read_manifest(orjson.loads(one.as_text())) == one
