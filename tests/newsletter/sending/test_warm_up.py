"""The warm-up of a sending domain: its limits grow until day 42, per mailbox provider too; engaged recipients first."""

from __future__ import annotations

import datetime
import importlib
import pkgutil
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from django.apps import apps
from django.utils import timezone

from newsletter import migrations
from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Newsletter, Send, SendState, WarmUpPlan
from newsletter.monitoring.diagnostics import blockers_of, limit_diagnostics
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending.control import finish_sends
from newsletter.sending.limits import cap_of, used_up_limit, warm_up_day
from newsletter.sending.warm_up import FIRST_WEEK, LAST_DAY, MAILBOX_PROVIDERS, daily_cap, hourly_cap, provider_cap
from subscribers.models import Subscriber
from tests import people
from tests.publications import expand_audiences, make_issue, make_newsletter, post_everything, start_sending, today

DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)
DAYS = range(1, LAST_DAY + 1)


def warming_up(plan: str = WarmUpPlan.NEW, *, since: datetime.date | None = None) -> Newsletter:
    newsletter = make_newsletter()
    newsletter.warm_up_since, newsletter.warm_up_plan = since or today(), plan
    newsletter.save()
    return newsletter


def subscribe(newsletter: Newsletter, **counts: int) -> None:
    """So many subscribers at each domain; `_` stands for the dot."""
    for domain, count in counts.items():
        for number in range(count):
            people.make_subscription(f"reader-{number}@{domain.replace('_', '.')}", newsletter)


def sent_to_domains(send: Send) -> Counter[str]:
    accepted = Delivery.objects.filter(send=send, state=DeliveryState.ACCEPTED).values_list("subscriber")
    addresses = Subscriber.objects.filter(pk__in=accepted).values_list("canonical", flat=True)
    return Counter(address.partition("@")[2] for address in addresses)


# --- The plan --------------------------------------------------------------------------------------------------------


def test_the_plans_begin_as_resend_documents_and_grow_until_day_42() -> None:
    new = [daily_cap(WarmUpPlan.NEW, day) or 0 for day in DAYS]
    known = [daily_cap(WarmUpPlan.KNOWN, day) or 0 for day in DAYS]
    assert new[:9] == [150, 250, 400, 700, 1_000, 1_500, 2_000, 2_800, 3_900]
    assert known[:9] == [1_000, 2_500, 5_000, 5_000, 7_500, 7_500, 10_000, 15_000, 22_000]
    for caps, growth in ((new, 1.4), (known, 1.5)):
        factors = [later / earlier for earlier, later in pairwise(caps[6:])]
        assert all(abs(factor - growth) < 0.1 for factor in factors)
    assert daily_cap(WarmUpPlan.NEW, LAST_DAY + 1) is None


def test_from_day_4_an_hour_has_a_tenth_of_the_day_and_a_mailbox_provider_always_a_half() -> None:
    assert [hourly_cap(WarmUpPlan.NEW, day) for day in (3, 4, 5, 43)] == [None, 70, 100, None]
    assert [provider_cap(WarmUpPlan.NEW, day) for day in (1, 4, 42, 43)][:2] == [75, 350]
    assert provider_cap(WarmUpPlan.NEW, LAST_DAY + 1) is None


def test_a_domain_belongs_to_one_mailbox_provider() -> None:
    domains = [domain for names in MAILBOX_PROVIDERS.values() for domain in names]
    assert len(domains) == len(set(domains))
    assert all(len(name) <= 32 for name in MAILBOX_PROVIDERS)


def test_the_days_before_the_first_count_as_the_first(db: None) -> None:
    newsletter = warming_up(since=today() + 3 * DAY)
    assert cap_of(newsletter, today()) == 150
    assert cap_of(newsletter, today() + (3 + LAST_DAY - 1) * DAY) == daily_cap(WarmUpPlan.NEW, LAST_DAY)
    assert cap_of(newsletter, today() + (3 + LAST_DAY) * DAY) is None


# --- Sending ---------------------------------------------------------------------------------------------------------


class Clock:
    """The time of the application, which the test moves."""

    def __init__(self) -> None:
        self.now = timezone.now().replace(hour=5, minute=0)

    def pass_time(self, time: datetime.timedelta) -> None:
        self.now += time


@pytest.fixture
def clock(db: None, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock.now)
    return clock


@pytest.fixture
def small_plan(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hundredth of Resend's numbers, so that a fortnight takes some hundred mails."""
    weeks = {plan: tuple(cap // 100 for cap in caps) for plan, caps in FIRST_WEEK.items()}
    monkeypatch.setattr("newsletter.sending.warm_up.FIRST_WEEK", weeks)
    daily_cap.cache_clear()
    yield
    daily_cap.cache_clear()


def test_over_16_days_no_limit_is_exceeded_and_each_recipient_gets_one_mail(
    clock: Clock, small_plan: None, provider: Provider, sandbox: SandboxServer
) -> None:
    newsletter = warming_up()
    subscribe(newsletter, gmail_com=60, example_net=45, gmx_de=10)
    send = start_sending(make_issue(newsletter=newsletter))
    expand_audiences()
    first_day, sent, per_day = today(), Counter[str](), []
    for number in range(1, 17):
        day, day_before = warm_up_day(newsletter, timezone.now()), sent
        assert day is not None
        assert day.number == number == (today() - first_day).days + 1
        # On other days a worker runs for a short time only.
        hours = 11 if number <= 5 or number == 14 else 1
        for _hour in range(hours):
            hour_before = sent.total()
            if post_everything(provider):
                sent = sent_to_domains(send)
            assert day.hourly_cap is None or sent.total() - hour_before <= day.hourly_cap
            clock.pass_time(HOUR)
        assert max((sent - day_before)[domain] for domain in ("gmail.com", "gmx.de")) <= day.provider_cap
        per_day.append(sent.total() - day_before.total())
        clock.pass_time((24 - hours) * HOUR)
    # Whole days of the hundredth of 150, 250, 400, 700 and 1,000; then single hours with a tenth of the day's mails.
    assert per_day[:9] == [1, 2, 4, 7, 10, 2, 2, 3, 4]
    assert sent == {"gmail.com": 60, "example.net": 45, "gmx.de": 10}
    assert sandbox.ledger.summary()["recipients"] == 115
    assert finish_sends()


def test_a_mailbox_provider_at_its_limit_holds_back_its_own_recipients_only(db: None, provider: Provider) -> None:
    newsletter = warming_up()
    subscribe(newsletter, gmail_com=80, googlemail_com=20, outlook_com=10, example_net=20)
    send = start_sending(make_issue(newsletter=newsletter))
    expand_audiences(batch_size=30)
    # First in the queue, so that the others still wait when its limit is used up.
    Batch.objects.filter(mailbox_provider="Gmail").update(not_before=timezone.now() - HOUR)
    post_everything(provider)
    sent = sent_to_domains(send)
    assert (sent["gmail.com"] + sent["googlemail.com"], sent["outlook.com"], sent["example.net"]) == (75, 10, 20)
    assert set(Batch.objects.filter(state=BatchState.READY).values_list("mailbox_provider", flat=True)) == {"Gmail"}
    limit = used_up_limit(send, timezone.now())
    assert limit is not None
    assert (limit.provider_cap, limit.providers, limit.day) == (75, ("Gmail",), 1)


def test_what_a_send_waits_for_is_said_with_the_time_at_which_it_continues(db: None, provider: Provider) -> None:
    newsletter = warming_up()
    subscribe(newsletter, gmail_com=80)
    send = start_sending(make_issue(newsletter=newsletter))
    expand_audiences()
    post_everything(provider)
    [diagnostic] = limit_diagnostics(send, timezone.now())
    assert diagnostic in blockers_of(send)
    assert diagnostic.sentence.startswith(
        "All remaining recipients use Gmail, and the warm-up limit of Harbour Notes for a mailbox provider is used "
        "up: 75 mails on day 1 of 42. Sending continues at "
    )
    day = warm_up_day(newsletter, timezone.now())
    assert day is not None
    assert day.ends_at.astimezone(datetime.UTC).strftime("%H:%M") in diagnostic.sentence


def test_batches_have_one_mailbox_provider_and_providers_take_turns(db: None) -> None:
    newsletter = warming_up()
    subscribe(newsletter, gmail_com=5, example_net=5, yahoo_de=5)
    start_sending(make_issue(newsletter=newsletter))
    expand_audiences(batch_size=2)
    batches = list(Batch.objects.order_by("not_before", "pk"))
    assert [batch.mailbox_provider for batch in batches] == ["", "Gmail", "Yahoo"] * 3
    for batch in batches:
        owners = Delivery.objects.filter(pk__range=(batch.first_delivery, batch.last_delivery)).values("subscriber")
        domains = Subscriber.objects.filter(pk__in=owners).values_list("canonical", flat=True)
        assert len({address.partition("@")[2] for address in domains}) == 1


def test_recipients_who_opened_or_clicked_come_first_across_all_chunks(db: None, provider: Provider) -> None:
    newsletter = warming_up(since=today() - 60 * DAY)
    subscribe(newsletter, example_net=9)
    first = start_sending(make_issue(newsletter=newsletter))
    expand_audiences()
    post_everything(provider)
    finish_sends()
    mails, at = list(Delivery.objects.filter(send=first).order_by("pk")), timezone.now()
    Delivery.objects.filter(pk__in=[mails[8].pk, mails[4].pk]).update(opened_at=at)
    Delivery.objects.filter(pk=mails[6].pk).update(clicked_at=at)
    Delivery.objects.filter(pk__in=[mails[3].pk, mails[7].pk]).update(delivered_at=at)
    Newsletter.objects.update(warm_up_since=today())
    start_sending(make_issue("issue-2", newsletter=newsletter))
    expand_audiences(batch_size=2, chunk=3)
    second = Send.objects.get(state=SendState.SENDING)
    order: list[int] = []
    for batch in Batch.objects.filter(send=second).order_by("not_before", "pk"):
        owned = Delivery.objects.filter(pk__range=(batch.first_delivery, batch.last_delivery)).order_by("pk")
        order += owned.values_list("subscriber", flat=True)
    owners = [mail.subscriber_id for mail in mails]
    assert order[:5] == [owners[4], owners[6], owners[8], owners[3], owners[7]]
    assert sorted(order) == sorted(owners)


def test_without_a_warm_up_batches_name_no_mailbox_provider(db: None) -> None:
    newsletter = make_newsletter()
    subscribe(newsletter, gmail_com=3, example_net=3)
    start_sending(make_issue(newsletter=newsletter))
    expand_audiences()
    [batch] = Batch.objects.all()
    assert batch.mailbox_provider == ""


def test_a_warm_up_that_was_complete_before_the_update_does_not_begin_again(db: None) -> None:
    [name] = [module.name for module in pkgutil.iter_modules(migrations.__path__) if "warm_up" in module.name]
    migration = importlib.import_module(f"newsletter.migrations.{name}")
    # The earlier version set no limit from the eighth day on, by the newsletter's own calendar.
    for slug, zone, days in (("old", "UTC", 9), ("done", "Pacific/Kiritimati", 7), ("new", "Pacific/Pago_Pago", 6)):
        newsletter = make_newsletter(slug)
        newsletter.time_zone = zone
        newsletter.warm_up_since = timezone.now().astimezone(zoneinfo.ZoneInfo(zone)).date() - days * DAY
        newsletter.save()
    migration.end_complete_warm_ups(apps, None)
    assert list(Newsletter.objects.filter(warm_up_since=None).values_list("slug", flat=True)) == ["old", "done"]
