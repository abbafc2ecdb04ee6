"""The weekly digest: subscribers who chose it get each issue of the week once, in one mail."""

from __future__ import annotations

import datetime
import threading
import zoneinfo
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import formats, timezone, translation
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from newsletter.config import failpoints
from newsletter.config.failpoints import Action, Crash, Failpoint, Point
from newsletter.content.document import IssueContent
from newsletter.content.store import load_content
from newsletter.content.web_versions import change_visibility, correct_web_version
from newsletter.content.weekly import WeeklyPart, compose_weekly
from newsletter.models import (
    SEND_MACHINE,
    Delivery,
    DeliveryState,
    Issue,
    Newsletter,
    Reason,
    Restore,
    RestoreSource,
    Send,
    SendState,
    Visibility,
    WeeklyPlan,
)
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.providers.base import Provider
from newsletter.sending import weekly
from newsletter.sending.audience import Audience
from newsletter.sending.audience_words import audience_in_words, exclusions_in_words
from newsletter.sending.control import cancel_send, finish_sends, pause_send
from newsletter.sending.expand import expand_audience, expand_chunk
from newsletter.sending.schedule import dry_run, send_now
from newsletter.sending.segment_rules import last_issues
from newsletter.sending.switch import stop_all_sending
from newsletter.sending.undo import undo_send
from newsletter.sending.weekly import compose_weekly_digests, end_of_week
from subscribers.consent import preferences
from subscribers.directory.merge import MergeRefused, merge
from subscribers.models import Frequency, MailingList, Subscription, SubscriptionQuerySet, SubscriptionState
from subscribers.segments.kinds import Facts
from tests import people
from tests.newsletter.sending.audiences import choose, picked
from tests.newsletter.sending.two_connections import in_a_thread, waits_for_a_lock
from tests.publications import (
    expand_audiences,
    just_now,
    make_issue,
    make_newsletter,
    post_everything,
    send_of,
    start_sending,
    today,
)

EVE, WIM, ZOE, UMA = "eve@example.org", "wim@example.org", "zoe@example.org", "uma@example.org"


@pytest.fixture
def newsletter(db: None) -> Newsletter:
    """A newsletter that offers the digest. Eve gets each issue, Wim the digest."""
    found = make_newsletter(offers_weekly=True)
    people.make_subscription(EVE, found)
    people.make_subscription(WIM, found, frequency=Frequency.WEEKLY)
    return found


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the first mails of each send were sent as soon as it is expanded."""
    monkeypatch.setattr(weekly, "_has_sent", lambda send: True)


def start(slug: str, **changes: Any) -> Issue:
    """Start an issue, and expand its audience."""
    issue = make_issue(slug, **changes)
    start_sending(issue)
    expand_audiences()
    return issue


def week_is_over(newsletter: Newsletter, *, since: datetime.timedelta = datetime.timedelta(0)) -> None:
    """Let the current week have ended a moment ago, or `since` a longer time."""
    ends_at = just_now() - since
    WeeklyPlan.objects.update_or_create(newsletter=newsletter, defaults={"ends_at": ends_at, "date": ends_at.date()})


def end_week(newsletter: Newsletter) -> Issue | None:
    """End the week; the digest, whose audience is expanded."""
    before = set(Issue.objects.filter(digest_at__isnull=False).values_list("pk", flat=True))
    week_is_over(newsletter)
    compose_weekly_digests()
    expand_audiences()
    return Issue.objects.filter(digest_at__isnull=False).exclude(pk__in=before).first()


def key_of(address: str) -> Subscription:
    return Subscription.objects.get(subscriber__address=address, mailing_list__slug="harbour-notes")


def change(address: str, frequency: Frequency) -> None:
    assert preferences.set_frequency(key_of(address).key, frequency)


def received(address: str) -> Counter[str]:
    """How often the subscriber gets each issue, by itself and in digests."""
    found: Counter[str] = Counter()
    for delivery in Delivery.objects.filter(subscriber__address=address).select_related("issue"):
        digested = delivery.issue.digested_sends.values_list("issue__slug", flat=True)
        found.update(digested if delivery.issue.is_digest else [delivery.issue.slug])
    return found


def finish_everything() -> None:
    Delivery.objects.update(state=DeliveryState.ACCEPTED)
    sending = Send.objects.filter(state=SendState.SENDING)
    SEND_MACHINE.move(sending, SendState.SENT, finished_at=timezone.now())


def titles_of(issue: Issue) -> list[str]:
    return [section.title for section in load_content(issue).sections]


# --- Who gets what --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settled")
def test_weekly_subscribers_get_the_issues_of_the_week_as_one_mail(newsletter: Newsletter) -> None:
    start("monday", title="Monday’s cranes")
    start("friday", title="Friday’s ferries")
    assert (received(EVE), received(WIM)) == (Counter(["monday", "friday"]), Counter())
    digest = end_week(newsletter)
    assert digest is not None
    assert send_of(digest).state == SendState.SENDING
    assert received(EVE) == received(WIM) == Counter(["monday", "friday"])
    titles = titles_of(digest)
    assert titles[0] == "Monday’s cranes"
    assert titles.index("Friday’s ferries") == len(titles) // 2
    assert load_content(digest).preheader == "Monday’s cranes · Friday’s ferries"
    assert load_content(digest).subject == "Harbour Notes: 2 issues of this week"


@pytest.mark.usefixtures("settled")
def test_the_digest_of_one_issue_is_that_issue(newsletter: Newsletter) -> None:
    issue = start("monday")
    digest = end_week(newsletter)
    assert digest is not None
    one, same = load_content(issue), load_content(digest)
    assert (same.title, same.subject, same.preheader, same.date) == (one.title, one.subject, one.preheader, one.date)
    assert same.sections == one.sections


@pytest.mark.usefixtures("settled")
def test_the_digest_has_the_corrected_content(newsletter: Newsletter) -> None:
    issue = start("monday", title="Monday’s cranes")
    content = replace(load_content(issue), title="Monday’s lower cranes")
    correct_web_version(issue, content, by="edda", based_on=1, note="The cranes are lower.")
    digest = end_week(newsletter)
    assert digest is not None
    assert load_content(digest).title == "Monday’s lower cranes"


@pytest.mark.usefixtures("settled")
def test_the_digest_leaves_out_what_was_taken_down_and_links_to_what_is_listed(newsletter: Newsletter) -> None:
    issues = [start(slug, title=f"Cranes on {slug}") for slug in ("monday", "friday", "sunday")]
    change_visibility(issues[0], Visibility.TAKEN_DOWN, by="edda", text="The author asked for it.")
    change_visibility(issues[1], Visibility.UNLISTED, by="edda")
    digest = end_week(newsletter)
    assert digest is not None
    titles = titles_of(digest)
    assert [title for title in titles if title.startswith("Cranes on")] == ["Cranes on friday", "Cranes on sunday"]
    text = send_of(digest).edition.text
    assert "/issues/sunday/" in text
    assert "/issues/friday/" not in text
    assert not Send.objects.filter(awaits_digest=True).exists()


@pytest.mark.usefixtures("settled")
def test_without_an_issue_or_without_a_weekly_subscriber_there_is_no_digest(newsletter: Newsletter) -> None:
    assert end_week(newsletter) is None
    Subscription.objects.update(frequency=Frequency.EACH)
    start("monday")
    assert end_week(newsletter) is None
    assert not Send.objects.filter(awaits_digest=True).exists()


@pytest.mark.usefixtures("settled")
def test_the_report_the_dry_run_and_the_schedule_say_who_gets_the_issue_with_the_digest(newsletter: Newsletter) -> None:
    issue = make_issue("monday")
    assert dry_run(issue).excluded == {"weekly": 1}
    assert "Without those who get the weekly digest: the issue is in the next one." in audience_in_words(
        Audience.of(issue)
    )
    start_sending(issue)
    expand_audiences()
    assert exclusions_in_words(send_of(issue).excluded) == ((1, "get it with the weekly digest"),)
    digest = end_week(newsletter)
    assert digest is not None
    assert exclusions_in_words(send_of(digest).excluded) == ((1, "got each issue by itself"),)
    assert "Only those who get the weekly digest." in audience_in_words(Audience.of_send(send_of(digest)))


def test_while_the_list_does_not_offer_it_the_frequency_is_ignored(newsletter: Newsletter) -> None:
    MailingList.objects.update(offers_weekly=False)
    start("monday")
    assert received(WIM) == Counter(["monday"])
    assert end_week(newsletter) is None


@pytest.mark.usefixtures("settled")
def test_an_issue_started_before_the_digest_was_switched_on_is_not_in_it(newsletter: Newsletter) -> None:
    MailingList.objects.update(offers_weekly=False)
    issue = make_issue("before")
    start_sending(issue)
    MailingList.objects.update(offers_weekly=True)
    # Expanded only now: what counts is whom the send left out at its start.
    expand_audiences()
    start("after")
    end_week(newsletter)
    assert received(EVE) == received(WIM) == Counter(["before", "after"])


@pytest.mark.usefixtures("settled")
def test_after_it_is_switched_off_the_last_digest_has_what_was_left_out(newsletter: Newsletter) -> None:
    issue = make_issue("before")
    start_sending(issue)
    MailingList.objects.update(offers_weekly=False)
    expand_audiences()
    start("after")
    assert received(WIM) == Counter(["after"])
    end_week(newsletter)
    assert received(EVE) == received(WIM) == Counter(["before", "after"])


@pytest.mark.usefixtures("settled")
def test_an_issue_for_a_segment_is_sent_to_its_weekly_subscribers_by_itself(newsletter: Newsletter) -> None:
    people.make_subscription(ZOE, newsletter, frequency=Frequency.WEEKLY)
    issue = make_issue("customers")
    picked(newsletter, "Customers", key_of(WIM))
    choose(issue, segments=("Customers",))
    start_sending(issue)
    expand_audiences()
    assert end_week(newsletter) is None
    assert (received(WIM), received(ZOE)) == (Counter(["customers"]), Counter())


@pytest.mark.usefixtures("settled")
def test_the_newsletters_own_list_decides_for_subscribers_of_other_lists(newsletter: Newsletter) -> None:
    weekend = make_newsletter("weekend", name="Weekend", offers_weekly=True)
    people.make_subscription(WIM, weekend)
    people.make_subscription(EVE, weekend, frequency=Frequency.WEEKLY)
    people.make_subscription(ZOE, weekend, frequency=Frequency.WEEKLY)
    issue = make_issue("both")
    choose(issue, lists=("weekend",))
    start_sending(issue)
    expand_audiences()
    assert (received(EVE), received(ZOE), received(WIM)) == (Counter(["both"]), Counter(["both"]), Counter())
    end_week(newsletter)
    assert received(EVE) == received(ZOE) == received(WIM) == Counter(["both"])


@pytest.fixture
def harbour_club(newsletter: Newsletter) -> MailingList:
    """Another list, which Zoe and Wim are on, and Wim asked to rejoin the newsletter’s own."""
    found = people.make_mailing_list("harbour-club", name="Harbour Club")
    people.make_subscription(ZOE, found)
    people.make_subscription(WIM, found)
    set_state(WIM, SubscriptionState.PENDING)
    return found


def set_state(address: str, state: SubscriptionState, mailing_list: str = "harbour-notes") -> None:
    """Whatever led to this state of a subscription; what starts before a confirmation is not for it."""
    row = Subscription.objects.filter(subscriber__address=address, mailing_list__slug=mailing_list)
    changes = {"confirmed_at": timezone.now()} if state == SubscriptionState.ACTIVE else {}
    assert row.update(state=state, **changes)


def start_for_both(slug: str) -> Issue:
    """Start an issue for the newsletter's own list and Harbour Club, and expand its audience."""
    issue = make_issue(slug)
    choose(issue, lists=("harbour-club",))
    start_sending(issue)
    expand_audiences()
    return issue


@pytest.mark.usefixtures("settled", "harbour_club")
def test_who_got_one_issue_through_another_list_gets_the_week_without_the_digest(newsletter: Newsletter) -> None:
    people.make_subscription(UMA, newsletter, frequency=Frequency.WEEKLY)
    start_for_both("monday")
    assert received(WIM) == Counter(["monday"])
    set_state(WIM, SubscriptionState.ACTIVE)
    start("wednesday")
    start_for_both("friday")
    assert received(WIM) == Counter(["monday", "wednesday", "friday"])
    digest = end_week(newsletter)
    assert digest is not None
    assert received(WIM) == received(EVE) == Counter(["monday", "wednesday", "friday"])
    assert received(UMA) == received(WIM)
    assert exclusions_in_words(send_of(digest).excluded) == ((2, "got each issue by itself"),)
    # From the next week on, the digest is theirs.
    start("next")
    assert received(WIM)["next"] == 0
    end_week(newsletter)
    assert received(WIM) == received(EVE)


@pytest.mark.usefixtures("settled", "harbour_club")
def test_who_is_imported_as_weekly_after_the_issue_does_not_get_it_again(newsletter: Newsletter) -> None:
    start_for_both("monday")
    people.make_subscription(ZOE, newsletter, frequency=Frequency.WEEKLY, confirmed_at=timezone.now())
    set_state(WIM, SubscriptionState.ACTIVE)
    # All who get the digest have its issue already.
    assert end_week(newsletter) is None
    assert received(ZOE) == received(WIM) == received(EVE) == Counter(["monday"])


@pytest.mark.usefixtures("settled", "harbour_club")
def test_who_confirms_between_two_chunks_of_the_issue_gets_it_with_the_digest(newsletter: Newsletter) -> None:
    issue = make_issue("monday")
    choose(issue, lists=("harbour-club",))
    start_sending(issue)
    # Eve, and the end of the newsletter's own list.
    expand_audience(100)
    expand_audience(100)
    set_state(WIM, SubscriptionState.ACTIVE)
    expand_audiences()
    assert (received(WIM), received(ZOE)) == (Counter(), Counter(["monday"]))
    end_week(newsletter)
    assert received(WIM) == Counter(["monday"])


@pytest.mark.usefixtures("settled", "harbour_club")
def test_a_failed_delivery_is_left_to_its_retry_and_the_digest_repeats_nothing(newsletter: Newsletter) -> None:
    people.make_subscription(UMA, newsletter, frequency=Frequency.WEEKLY)
    start_for_both("monday")
    set_state(WIM, SubscriptionState.ACTIVE)
    start("friday")
    # A failed delivery is repeated by “Retry failed deliveries”, and not by the digest.
    Delivery.objects.filter(subscriber__address=WIM, issue__slug="monday").update(state=DeliveryState.FAILED)
    end_week(newsletter)
    assert received(WIM) == Counter(["monday", "friday"])


def test_an_issue_that_all_get_with_the_digest_starts_without_recipients(
    newsletter: Newsletter, provider: Provider
) -> None:
    key_of(EVE).delete()
    send_now(make_issue("monday"), by="tests", may_undo=False)
    expand_audiences()
    assert end_week(newsletter) is None  # it may still be undone
    finish_sends()
    end_week(newsletter)
    assert received(WIM) == Counter(["monday"])


# --- Changes of the frequency ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settled")
def test_a_change_in_the_middle_of_a_week_repeats_no_issue_and_loses_none(newsletter: Newsletter) -> None:
    start("monday")
    change(EVE, Frequency.WEEKLY)
    change(WIM, Frequency.EACH)
    assert (key_of(EVE).frequency, key_of(EVE).next_frequency) == ("each", "weekly")
    start("friday")
    end_week(newsletter)
    assert (key_of(EVE).frequency, key_of(WIM).frequency) == ("weekly", "each")
    assert received(EVE) == received(WIM) == Counter(["monday", "friday"])
    start("next")
    assert (received(EVE)["next"], received(WIM)["next"]) == (0, 1)
    end_week(newsletter)
    assert received(EVE) == received(WIM) == Counter(["monday", "friday", "next"])


@pytest.mark.usefixtures("settled")
def test_a_change_while_the_digest_waits_for_its_expansion_does_not_change_who_gets_it(newsletter: Newsletter) -> None:
    start("monday")
    change(EVE, Frequency.WEEKLY)
    week_is_over(newsletter)
    compose_weekly_digests()
    # The digest is not expanded yet.
    change(EVE, Frequency.EACH)
    change(WIM, Frequency.EACH)
    expand_audiences()
    assert received(EVE) == received(WIM) == Counter(["monday"])


def test_a_change_is_taken_back_before_it_applies(newsletter: Newsletter) -> None:
    start("monday")
    change(WIM, Frequency.EACH)
    change(WIM, Frequency.WEEKLY)
    assert (key_of(WIM).frequency, key_of(WIM).next_frequency) == ("weekly", "")


def test_a_change_applies_at_once_while_no_issue_awaits_a_digest(newsletter: Newsletter) -> None:
    change(EVE, Frequency.WEEKLY)
    assert (key_of(EVE).frequency, key_of(EVE).next_frequency) == ("weekly", "")
    start("monday")
    assert received(EVE) == Counter()


@pytest.mark.usefixtures("settled")
def test_a_week_without_a_digest_applies_the_changes_too(newsletter: Newsletter) -> None:
    send = send_of(start("monday"))
    change(WIM, Frequency.EACH)
    cancel_send(send, by="tests")
    key_of(EVE).delete()
    people.make_subscription(ZOE, newsletter)
    Subscription.objects.filter(pk=key_of(WIM).pk).update(paused_until=timezone.now() + datetime.timedelta(days=1))
    assert end_week(newsletter) is None
    assert key_of(WIM).frequency == "each"


def test_the_database_refuses_a_change_to_the_present_frequency(newsletter: Newsletter) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Subscription.objects.filter(pk=key_of(EVE).pk).update(next_frequency="each")
    with pytest.raises(IntegrityError), transaction.atomic():
        Subscription.objects.filter(pk=key_of(EVE).pk).update(next_frequency="daily")


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(("kept", "merged"), [(EVE, WIM), (WIM, EVE)])
def test_addresses_are_not_merged_while_only_one_of_them_got_the_issue(
    newsletter: Newsletter, kept: str, merged: str
) -> None:
    start("first")
    finish_everything()
    with pytest.raises(MergeRefused, match="weekly digest"):
        merge(key_of(kept).subscriber_id, key_of(merged).subscriber_id, by="ida")
    assert (received(EVE), received(WIM)) == (Counter(["first"]), Counter())
    assert end_week(newsletter)
    finish_everything()
    assert (received(EVE), received(WIM)) == (Counter(["first"]), Counter(["first"]))
    merge(key_of(kept).subscriber_id, key_of(merged).subscriber_id, by="ida")


@pytest.mark.usefixtures("settled")
def test_addresses_that_both_get_the_digest_are_merged(newsletter: Newsletter) -> None:
    people.make_subscription(ZOE, newsletter, frequency=Frequency.WEEKLY)
    start("first")
    finish_everything()
    merge(key_of(WIM).subscriber_id, key_of(ZOE).subscriber_id, by="ida")
    assert end_week(newsletter)
    assert (received(WIM), received(ZOE)) == (Counter(["first"]), Counter())


ACTIONS = st.one_of(
    st.sampled_from(["send", "send", "start", "expand", "expand one chunk", "week", "week"]),
    st.sampled_from(["send to both", "send to both", "start to both"]),
    st.tuples(st.sampled_from([EVE, WIM, ZOE]), st.sampled_from(list(Frequency))),
    st.tuples(st.sampled_from([EVE, WIM, ZOE]), st.sampled_from(["leave", "ask to rejoin", "confirm"])),
    st.just((UMA, "import as weekly")),
    st.sampled_from([True, False]),
)


class Expected:
    """What each subscriber must have got in the end: at least `owed`. Each of them is on Harbour Club, too."""

    def __init__(self) -> None:
        self.owed: dict[str, set[str]] = {address: set() for address in (EVE, WIM, ZOE, UMA)}

    def started(self, slug: str, *, to_both: bool) -> None:
        """Owed to subscribers of the own list; through the other, to all who did not leave the own one."""
        states = dict(self._own().values_list("subscriber__address", "state"))
        for address, owed in self.owed.items():
            state = states.get(address)
            through_other = to_both and state != SubscriptionState.UNSUBSCRIBED
            if state == SubscriptionState.ACTIVE or through_other:
                owed.add(slug)

    def left(self, address: str) -> None:
        """Whoever leaves gets nothing more of what they did not get yet; a later confirmation is for later issues."""
        self.owed[address] &= set(received(address))

    @staticmethod
    def _own() -> SubscriptionQuerySet:
        return Subscription.objects.filter(mailing_list__slug="harbour-notes")


def act(action: object, slug: str, newsletter: Newsletter, expected: Expected) -> None:
    """One thing that happens in a week."""
    match action:
        case "expand":
            expand_audiences()
        case "expand one chunk":
            expand_audience(100, 1)
        case "week":
            week_is_over(newsletter)
            compose_weekly_digests()
        case bool():
            MailingList.objects.filter(slug="harbour-notes").update(offers_weekly=action)
        case (str(address), Frequency() as frequency):
            preferences.set_frequency(key_of(address).key, frequency)
        case (str(address), str(step)):
            take_step(address, step, newsletter, expected)
        case str():
            issue = make_issue(slug)
            to_both = action.endswith("to both")
            if to_both:
                choose(issue, lists=("harbour-club",))
            start_sending(issue)
            expected.started(slug, to_both=to_both)
            if action.startswith("send"):
                expand_audiences()


def take_step(address: str, step: str, newsletter: Newsletter, expected: Expected) -> None:
    if step == "import as weekly":
        if not Subscription.objects.filter(subscriber__address=address, mailing_list=newsletter).exists():
            people.make_subscription(
                address, newsletter, frequency=Frequency.WEEKLY, confirmed_at=timezone.now(), import_pk=1
            )
        return
    source, target = {
        "leave": (SubscriptionState.ACTIVE, SubscriptionState.UNSUBSCRIBED),
        "ask to rejoin": (SubscriptionState.UNSUBSCRIBED, SubscriptionState.PENDING),
        "confirm": (SubscriptionState.PENDING, SubscriptionState.ACTIVE),
    }[step]
    if key_of(address).state == source:
        set_state(address, target)
        if step == "leave":
            expected.left(address)


@pytest.mark.usefixtures("settled")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(actions=st.lists(ACTIONS, max_size=12))
@example(actions=[(WIM, "leave"), (WIM, "ask to rejoin"), "send to both", (WIM, "confirm"), "send"])
@example(actions=["send to both", (UMA, "import as weekly"), "send"])
@example(actions=["send", (WIM, "leave"), (WIM, "ask to rejoin"), "send to both", (WIM, "confirm"), "send"])
def test_every_subscriber_gets_every_issue_once_whatever_happens_in_which_order(
    newsletter: Newsletter, actions: list[object]
) -> None:
    with transaction.atomic():
        people.make_subscription(ZOE, newsletter)
        club = people.make_mailing_list("harbour-club", name="Harbour Club")
        for address in (EVE, WIM, ZOE, UMA):
            people.make_subscription(address, club)
        expected = Expected()
        for number, action in enumerate(actions):
            act(action, f"issue-{number}", newsletter, expected)
        expand_audiences()
        for _ in range(2):
            end_week(newsletter)
        for address, owed in expected.owed.items():
            assert owed <= set(received(address)), (address, actions)
            assert set(received(address).values()) <= {1}, (address, actions)
        transaction.set_rollback(True)


# --- The end of the week --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "day", "hour"),
    [
        ("2026-11-25T12:00+01:00", "2026-11-29", 9),
        ("2026-11-29T08:59+01:00", "2026-11-29", 9),
        ("2026-11-29T09:00+01:00", "2026-12-06", 9),
        # Clocks are set back on that day.
        ("2026-10-24T12:00+02:00", "2026-10-25", 9),
    ],
)
@pytest.mark.django_db
def test_a_week_ends_on_its_day_and_hour_in_the_newsletters_time_zone(after: str, day: str, hour: int) -> None:
    newsletter = make_newsletter()
    found, at = end_of_week(newsletter, after=datetime.datetime.fromisoformat(after))
    local = at.astimezone(zoneinfo.ZoneInfo("Europe/Berlin"))
    assert (found.isoformat(), local.date().isoformat(), local.hour) == (day, day, hour)


def test_the_plan_follows_the_settings_and_an_hour_that_is_over_comes_next_week(newsletter: Newsletter) -> None:
    compose_weekly_digests()
    plan = WeeklyPlan.objects.get()
    assert plan.ends_at is not None
    assert plan.ends_at > timezone.now()
    local = timezone.localtime(timezone=zoneinfo.ZoneInfo("Europe/Berlin"))
    earlier = local - datetime.timedelta(minutes=1)
    Newsletter.objects.update(weekly_weekday=earlier.weekday(), weekly_time=earlier.time().replace(second=0))
    compose_weekly_digests()
    moved = WeeklyPlan.objects.get()
    assert moved.ends_at is not None
    assert moved.ends_at > timezone.now() + datetime.timedelta(days=6)


@pytest.mark.usefixtures("settled")
def test_a_worker_that_comes_back_late_composes_one_digest_of_all_the_time(newsletter: Newsletter) -> None:
    start("first")
    start("second")
    week_is_over(newsletter, since=datetime.timedelta(days=20))
    compose_weekly_digests()
    compose_weekly_digests()
    expand_audiences()
    assert received(WIM) == Counter(["first", "second"])
    assert Issue.objects.filter(digest_at__isnull=False).count() == 1
    plan = WeeklyPlan.objects.get()
    assert plan.ends_at is not None
    assert plan.ends_at > timezone.now()


def test_the_database_refuses_a_second_digest_of_a_week(newsletter: Newsletter) -> None:
    at = timezone.now()
    Issue.objects.create(newsletter=newsletter, slug="one", title="One", digest_at=at)
    with pytest.raises(IntegrityError), transaction.atomic():
        Issue.objects.create(newsletter=newsletter, slug="two", title="Two", digest_at=at)


def test_the_end_of_the_week_waits_until_an_issue_is_expanded_and_cannot_be_undone(
    newsletter: Newsletter, provider: Provider
) -> None:
    send_now(make_issue("monday"), by="tests", may_undo=False)
    assert end_week(newsletter) is None  # started
    expand_audiences()
    compose_weekly_digests()
    assert not Issue.objects.filter(digest_at__isnull=False).exists()  # expanded, nothing sent
    post_everything(provider)
    compose_weekly_digests()
    expand_audiences()
    assert received(WIM) == Counter(["monday"])


def test_an_issue_that_was_undone_is_in_the_digest_of_its_second_start_only(
    newsletter: Newsletter, provider: Provider
) -> None:
    issue = make_issue("monday")
    undo_send(send_now(issue, by="tests"), by="tests")
    assert end_week(newsletter) is None
    issue.refresh_from_db()
    send_now(issue, by="tests", may_undo=False)
    expand_audiences()
    post_everything(provider)
    digest = end_week(newsletter)
    assert digest is not None
    assert received(WIM) == received(EVE) == Counter(["monday"])


def test_a_cancelled_issue_is_in_the_digest_only_if_a_mail_of_it_was_sent(
    newsletter: Newsletter, provider: Provider
) -> None:
    unsent = send_now(make_issue("unsent"), by="tests", may_undo=False)
    cancel_send(unsent, by="tests")
    sent = send_now(make_issue("sent"), by="tests", may_undo=False)
    expand_audiences()
    post_everything(provider)
    cancel_send(sent, by="tests")
    end_week(newsletter)
    assert received(WIM) == Counter(["sent"])


def test_a_paused_issue_is_left_for_the_next_digest_and_changes_wait_for_it(
    newsletter: Newsletter, provider: Provider
) -> None:
    paused = send_now(make_issue("paused"), by="tests", may_undo=False)
    pause_send(paused, by="tests")
    send_now(make_issue("other"), by="tests", may_undo=False)
    expand_audiences()
    post_everything(provider)
    change(EVE, Frequency.WEEKLY)
    end_week(newsletter)
    assert (received(WIM), key_of(EVE).next_frequency) == (Counter(["other"]), "weekly")
    paused.refresh_from_db()
    paused.resume(Reason.OPERATOR, by="tests")
    expand_audiences()
    post_everything(provider)
    end_week(newsletter)
    assert received(WIM) == received(EVE) == Counter(["other", "paused"])
    assert key_of(EVE).frequency == "weekly"


@pytest.mark.usefixtures("settled")
def test_no_week_ends_while_all_sending_is_stopped(newsletter: Newsletter) -> None:
    start("monday")
    stop_all_sending(by="tests", text="A test.")
    assert end_week(newsletter) is None


@pytest.mark.usefixtures("settled")
def test_a_digest_that_may_have_been_sent_before_a_restore_is_held(newsletter: Newsletter) -> None:
    start("monday")
    week_is_over(newsletter)
    now = timezone.now()
    Restore.objects.create(backup_at=now - datetime.timedelta(days=1), source=RestoreSource.COMMAND, by="tests")
    compose_weekly_digests()
    digest = Issue.objects.get(digest_at__isnull=False)
    assert (digest.hold_reason, digest.current_send) == (Reason.DIGEST_RESTORED, None)


# --- The digest as an issue -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settled")
def test_an_error_blocks_the_digest_and_doctor_says_so_until_it_is_sent(newsletter: Newsletter) -> None:
    start("monday")
    Newsletter.objects.update(postal_address="")
    MailingList.objects.update(postal_address="")
    digest = end_week(newsletter)
    assert digest is not None
    assert (digest.hold_reason, digest.current_send) == (Reason.DIGEST_REFUSED, None)
    assert any("postal address" in each.sentence and each.issue == digest for each in diagnostics())
    # The frequencies stay until its recipients are decided.
    change(WIM, Frequency.EACH)
    start("next")
    end_week(newsletter)
    assert key_of(WIM).next_frequency == "each"
    MailingList.objects.update(postal_address="4 Quay Street")
    send_now(digest, by="tests", may_undo=False)
    second = Issue.objects.filter(digest_at__isnull=False).exclude(pk=digest.pk).get()
    send_now(second, by="tests", may_undo=False)
    expand_audiences()
    assert received(WIM) == Counter(["monday", "next"])


@pytest.mark.usefixtures("settled")
def test_doctor_names_a_digest_whose_schedule_was_removed(newsletter: Newsletter) -> None:
    start("monday")
    digest = end_week(newsletter)
    assert digest is not None
    undo_send(send_of(digest), by="tests")
    assert any(each.name == "weekly_digest" and each.issue == digest for each in diagnostics())


def test_doctor_names_the_issue_that_the_digest_waits_for(newsletter: Newsletter) -> None:
    issue = start("monday")
    week_is_over(newsletter, since=datetime.timedelta(minutes=10))
    compose_weekly_digests()
    assert any(each.name == "weekly_digest" and each.issue == issue for each in diagnostics())


@pytest.mark.usefixtures("settled")
def test_a_digest_that_cannot_be_composed_is_retried_and_does_not_block_others(
    newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_newsletter("weekend", name="Weekend", offers_weekly=True)
    people.make_subscription(ZOE, other, frequency=Frequency.WEEKLY)
    people.make_subscription(EVE, other)
    start("monday")
    start("saturday", newsletter=other)
    monkeypatch.setattr(weekly, "compose_weekly", _fail_for_monday)
    week_is_over(newsletter)
    week_is_over(other)
    compose_weekly_digests()
    expand_audiences()
    assert received(ZOE) == Counter(["saturday"])
    assert any("ValueError" in each.sentence for each in diagnostics())
    monkeypatch.undo()
    monkeypatch.setattr(weekly, "_has_sent", lambda send: True)
    WeeklyPlan.objects.update(retry_at=just_now())
    compose_weekly_digests()
    expand_audiences()
    assert received(WIM) == Counter(["monday"])
    assert WeeklyPlan.objects.get(newsletter=newsletter).problem == ""


def _fail_for_monday(parts: Sequence[WeeklyPart], *words: Any, **fields: Any) -> IssueContent:
    if any(part.issue.slug == "monday" for part in parts):
        raise ValueError("Monday")
    return compose_weekly(parts, *words, **fields)


@pytest.mark.usefixtures("settled")
def test_the_digest_is_not_public_and_links_to_its_public_issues(newsletter: Newsletter) -> None:
    monday, friday = start("monday", title="Monday"), start("friday", title="Friday")
    digest = end_week(newsletter)
    assert digest is not None
    slugs = set(Send.objects.public().values_list("issue__slug", flat=True))
    assert slugs == {"monday", "friday"}
    bodies = [section.body for section in load_content(digest).sections if section.title in ("Monday", "Friday")]
    urls = [issue.web_url for issue in (monday, friday)]
    assert [url in body for url, body in zip(urls, bodies, strict=True)] == [True, True]
    assert digest.web_url == newsletter.archive_url


@pytest.mark.usefixtures("settled")
def test_rules_about_the_last_issues_do_not_count_digests(newsletter: Newsletter) -> None:
    issue = start("monday")
    end_week(newsletter)
    assert last_issues(Facts(mailing_list=newsletter, now=timezone.now()), 5) == [issue.pk]


@pytest.mark.usefixtures("settled")
def test_a_digest_with_issues_in_it_cannot_be_deleted_or_sent_to_other_lists(newsletter: Newsletter) -> None:
    make_newsletter("weekend", name="Weekend")
    start("monday")
    MailingList.objects.update(postal_address="")
    digest = end_week(newsletter)
    assert digest is not None
    with pytest.raises(ProtectedError):
        digest.delete()
    assert choose(digest, lists=("weekend",)).problems


@pytest.mark.usefixtures("settled")
def test_the_digest_speaks_the_language_of_the_newsletter(newsletter: Newsletter) -> None:
    MailingList.objects.update(language="de")
    start("monday")
    start("friday")
    digest = end_week(newsletter)
    assert digest is not None
    # The names of months are translated by Django.
    assert date_format_in("de") in digest.title


def date_format_in(language: str) -> str:
    """Today in the newsletter's zone, in words."""
    with translation.override(language):
        return formats.date_format(today(), "DATE_FORMAT")


# --- Killed at the end of the week ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("point", [Point.DIGEST_UNCOMMITTED, Point.DIGEST_COMMITTED])
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_at_the_end_of_the_week_loses_and_repeats_no_issue(point: Point) -> None:
    newsletter = make_newsletter(offers_weekly=True)
    people.make_subscription(EVE, newsletter)
    people.make_subscription(WIM, newsletter, frequency=Frequency.WEEKLY)
    start("monday")
    change(EVE, Frequency.WEEKLY)
    week_is_over(newsletter)
    failpoints.arm(Failpoint(point=point, hit=1, action=Action.RAISE))
    try:
        with pytest.raises(Crash):
            compose_weekly_digests()
    finally:
        failpoints.arm(None)
    assert (key_of(EVE).frequency == "weekly") == (point is Point.DIGEST_COMMITTED)
    compose_weekly_digests()
    expand_audiences()
    assert received(EVE) == received(WIM) == Counter(["monday"])
    assert key_of(EVE).frequency == "weekly"


@pytest.mark.usefixtures("settled")
@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_no_issue_starts_while_a_week_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    newsletter = make_newsletter(offers_weekly=True)
    people.make_subscription(EVE, newsletter)
    people.make_subscription(WIM, newsletter, frequency=Frequency.WEEKLY)
    start("monday")
    change(EVE, Frequency.WEEKLY)
    week_is_over(newsletter)
    friday = make_issue("friday")
    reached, may_commit = threading.Event(), threading.Event()

    def wait(point: Point) -> None:
        if point is Point.DIGEST_UNCOMMITTED:
            reached.set()
            may_commit.wait(60)

    monkeypatch.setattr(weekly, "failpoint", wait)
    ending = in_a_thread(compose_weekly_digests)
    assert reached.wait(60)
    starting = in_a_thread(lambda: send_now(friday, by="tests", may_undo=False))
    while starting.is_alive() and not waits_for_a_lock():
        starting.join(0.05)
    # Otherwise Eve would get the issue by itself, and with the next digest: her change is not committed yet.
    assert starting.is_alive()
    may_commit.set()
    for thread in (ending, starting):
        thread.join(60)
    expand_audiences()
    end_week(newsletter)
    assert received(EVE) == received(WIM) == Counter(["monday", "friday"])


@pytest.mark.usefixtures("settled")
@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_two_issues_of_a_week_are_not_expanded_at_the_same_moment() -> None:
    newsletter = make_newsletter(offers_weekly=True)
    people.make_subscription(EVE, newsletter)
    send = start_sending(make_issue("monday"))
    with transaction.atomic():
        # As the other expansion, whose deliveries cannot be seen yet.
        WeeklyPlan.objects.lock(newsletter.pk)
        expanding = in_a_thread(lambda: expand_chunk(send.pk, 100))
        while expanding.is_alive() and not waits_for_a_lock():
            expanding.join(0.05)
        assert expanding.is_alive()
    expanding.join(60)
    assert received(EVE) == Counter(["monday"])
