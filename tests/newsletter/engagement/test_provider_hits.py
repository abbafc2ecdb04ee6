"""The provider's opens and clicks: hits with consent, and no trace of who it was without."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import orjson
import pytest

from newsletter.engagement.judge import judge_hits
from newsletter.engagement.tokens import EditionSigner
from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import (
    CANARY_EARLY,
    FIRST_LINK,
    OPEN,
    OTHER_LINK,
    ConsentMode,
    Delivery,
    EngagementSource,
    Event,
    EventState,
    Hit,
    Newsletter,
    Send,
    Verdict,
)
from newsletter.models.reasons import reason_sentence
from newsletter.providers import get_provider
from newsletter.providers.base import SignedEvent
from subscribers.consent.tokens import LinkSigner, Purpose
from subscribers.models import Subscription
from tests.newsletter.engagement.logs import CHROME
from tests.newsletter.engagement.sent import AGREED, BO, agrees, delivery_of, send_to
from tests.newsletter.privacy.canary import cells_with
from tests.people import ADA
from tests.publications import make_newsletter

START = datetime.datetime(2026, 11, 24, 7, tzinfo=datetime.UTC)
EVE = "eve@example.org"

numbers = itertools.count(1)


@pytest.fixture
def send(db: None) -> Send:
    newsletter = make_newsletter(consent_mode=ConsentMode.CONSENT, engagement_source=EngagementSource.PROVIDER)
    agrees(EVE, newsletter, None)
    return send_to(ADA, BO, newsletter=newsletter)


def receive(kind: str, delivery: Delivery, *, after: float = 60, link: str = "", ip: str = "192.0.2.77") -> None:
    data: dict[str, Any] = {
        "email_id": f"mail-{delivery.pk}",
        "to": [delivery.subscriber.address],
        "tags": {"delivery": str(delivery.pk), "edition": str(delivery.send.edition_id), "env": "tests"},
    }
    if link:
        data["click"] = {"link": link, "ipAddress": ip, "userAgent": CHROME}
    at = (START + datetime.timedelta(seconds=after)).isoformat()
    body = orjson.dumps({"type": f"email.{kind}", "created_at": at, "data": data}).decode()
    store_event("resend", SignedEvent(event_id=f"msg_{next(numbers)}", body=body))


def apply() -> None:
    while apply_events(get_provider()):
        pass
    while judge_hits():
        pass


def test_a_click_becomes_a_hit_with_the_number_of_its_link(send: Send) -> None:
    delivery = delivery_of(ADA, send)
    receive("opened", delivery, after=30)
    receive("clicked", delivery, link="https://harbour.example/cranes/2")
    apply()
    hits = list(Hit.objects.order_by("at"))
    assert [(hit.number, hit.verdict, hit.agent) for hit in hits] == [
        (OPEN, Verdict.HUMAN, ""),
        (FIRST_LINK + 1, Verdict.HUMAN, "chrome windows"),
    ]
    delivery.refresh_from_db()
    assert delivery.opened_at == START + datetime.timedelta(seconds=30)
    assert delivery.clicked_at == START + datetime.timedelta(seconds=60)


@pytest.mark.parametrize(
    ("link", "number"),
    [
        ("https://harbour.example/cranes/1", FIRST_LINK),
        ("https://unknown.example/", OTHER_LINK),
        ("http://127.0.0.1:8000/harbour-notes/issues/", OTHER_LINK),
        ("http://[", OTHER_LINK),
        ("unsubscribe", None),
        ("preferences", None),
        ("canary", CANARY_EARLY),
        ("canary of another edition", OTHER_LINK),
    ],
)
def test_links_of_a_provider_find_their_numbers(send: Send, link: str, number: int | None) -> None:
    delivery = delivery_of(ADA, send)
    key = Subscription.objects.get(subscriber=delivery.subscriber).key
    special = {
        "unsubscribe": LinkSigner(Purpose.UNSUBSCRIBE).url(key),
        "preferences": LinkSigner(Purpose.PREFERENCES).url(key),
        "canary": EditionSigner(send.edition_id).url(CANARY_EARLY),
        "canary of another edition": EditionSigner(send.edition_id + 1).url(CANARY_EARLY),
    }
    receive("clicked", delivery, link=special.get(link, link))
    apply()
    assert [hit.number for hit in Hit.objects.all()] == ([] if number is None else [number])
    assert Event.objects.get().state == EventState.APPLIED


def test_link_address_and_agent_leave_the_event(send: Send) -> None:
    receive("clicked", delivery_of(ADA, send), link="https://harbour.example/cranes/2")
    apply()
    event = Event.objects.get()
    assert event.delivery_id == delivery_of(ADA, send).pk
    for word in ("cranes", "192.0.2", "chrome/"):
        assert word not in event.body.lower() + event.detail
    assert cells_with("192.0.2.77") == []
    assert cells_with("chrome/142") == []


@pytest.mark.parametrize("kind", ["opened", "clicked"])
@pytest.mark.parametrize("case", ["never agreed", "withdrew", "agreed later", "totals", "no source", "own links"])
def test_without_consent_nothing_says_who_opened_or_clicked(send: Send, kind: str, case: str) -> None:
    delivery = delivery_of(EVE if case == "never agreed" else ADA, send)
    if case == "withdrew":
        Subscription.objects.update(tracking_agreed_at=None)
    elif case == "agreed later":
        Subscription.objects.update(tracking_agreed_at=START + datetime.timedelta(hours=1))
    elif case == "totals":
        Newsletter.objects.update(consent_mode=ConsentMode.AGGREGATE, engagement_source=EngagementSource.OWN)
    elif case == "no source":
        Newsletter.objects.update(engagement_source=EngagementSource.NONE)
    elif case == "own links":
        Newsletter.objects.update(engagement_source=EngagementSource.OWN)
    receive("delivered", delivery, after=2)
    receive(kind, delivery, link="https://harbour.example/cranes/2" if kind == "clicked" else "")
    apply()
    assert not Hit.objects.exists()
    event = Event.objects.get(kind=f"email.{kind}")
    assert (event.body, event.detail, event.delivery_id) == ("", "", None)
    assert (event.state, event.reason) == (EventState.IGNORED, "tracking_not_agreed")
    assert "only of subscribers who agreed" in reason_sentence(event.reason, {"text": ""})
    delivery.refresh_from_db()
    assert (delivery.opened_at, delivery.clicked_at) == (None, None)
    assert delivery.delivered_at == START + datetime.timedelta(seconds=2)


def test_without_the_source_link_address_and_agent_are_not_even_stored(send: Send) -> None:
    Newsletter.objects.update(engagement_source=EngagementSource.NONE)
    receive("clicked", delivery_of(ADA, send), link="https://harbour.example/cranes/2")
    event = Event.objects.get()
    assert event.state == EventState.NEW
    for word in ("cranes", "192.0.2", "chrome/"):
        assert word not in event.body.lower()
    apply()
    delivery = delivery_of(ADA, send)
    assert (delivery.delivered_at is not None, delivery.clicked_at) == (True, None)


@pytest.mark.parametrize("body", ["{", "[]", '{"type": "email.clicked"}', '{"type": "email.clicked", "data": 1}'])
def test_a_click_that_cannot_be_read_is_stored_as_it_came(db: None, body: str) -> None:
    store_event("resend", SignedEvent(event_id="msg_x", body=body))
    assert Event.objects.get().body == body
    apply()
    assert Event.objects.get().state == EventState.IGNORED


def test_an_open_without_consent_still_proves_the_delivery(send: Send) -> None:
    delivery = delivery_of(EVE, send)
    receive("opened", delivery, after=60)
    apply()
    delivery.refresh_from_db()
    assert delivery.delivered_at is not None
    assert delivery.provider_id == f"mail-{delivery.pk}"


@pytest.mark.parametrize("env", ["tests", "staging"])
def test_an_open_of_an_unknown_mail_is_not_kept_either(send: Send, env: str) -> None:
    body = {
        "type": "email.clicked",
        "created_at": START.isoformat(),
        "data": {
            "to": ["x@example.org"],
            "tags": {"delivery": "999999", "env": env},
            "click": {"link": "https://harbour.example/cranes/2", "ipAddress": "192.0.2.77", "userAgent": CHROME},
        },
    }
    store_event("resend", SignedEvent(event_id="msg_x", body=orjson.dumps(body).decode()))
    apply()
    assert (Event.objects.get().body, Event.objects.get().detail) == ("", "")


def test_a_delivery_that_becomes_known_later_is_judged_again(send: Send) -> None:
    delivery = delivery_of(ADA, send)
    receive("clicked", delivery, after=60, link="https://harbour.example/cranes/2")
    apply()
    assert Hit.objects.get().verdict == Verdict.HUMAN
    receive("sent", delivery, after=61)
    apply()
    assert (Hit.objects.get().verdict, Hit.objects.get().rule) == (Verdict.MACHINE, "before-delivered")
    delivery.refresh_from_db()
    assert delivery.clicked_at is None


def test_a_sweep_reported_by_the_provider_sets_no_time(send: Send) -> None:
    delivery = delivery_of(ADA, send)
    for place in (1, 2, 3):
        receive("clicked", delivery, after=43 + place / 10, link=f"https://harbour.example/cranes/{place}")
    apply()
    assert {hit.rule for hit in Hit.objects.all()} == {"sweep"}
    delivery.refresh_from_db()
    assert delivery.clicked_at is None


def test_an_edition_from_before_there_was_a_choice_keeps_its_clicks(db: None) -> None:
    newsletter = make_newsletter()
    send = send_to(ADA, newsletter=newsletter)
    Newsletter.objects.update(consent_mode=ConsentMode.CONSENT, engagement_source=EngagementSource.PROVIDER)
    Subscription.objects.update(tracking_agreed_at=AGREED)
    receive("clicked", delivery_of(ADA, send), link="https://harbour.example/cranes/2")
    apply()
    assert Hit.objects.get().number == OTHER_LINK
    assert delivery_of(ADA, send).clicked_at is not None
