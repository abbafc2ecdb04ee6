"""The demo's content: a newsletter, its issues from files, and invented subscribers."""

from __future__ import annotations

import datetime
from pathlib import Path

from django.contrib.auth import get_user_model
from django.utils import timezone

from newsletter.content.formats import read_issue
from newsletter.content.store import import_issue
from newsletter.models import ConsentMode, EngagementSource, Issue, Newsletter
from newsletter.sending.schedule import schedule_issue
from subscribers.imports.confirmed import import_confirmed
from subscribers.models import Subscriber, Subscription

SAMPLES = Path(__file__).parent / "samples"
EDITOR = "demo-editor"

SUBSCRIBERS, BOUNCING, COMPLAINING = 500, 7, 2

FIRST_NAMES = ("ada", "ben", "cleo", "dina", "emil", "finn", "greta", "hugo", "ines", "jonas", "kaya", "leon", "mara")
FAMILY_NAMES = ("anker", "boje", "deich", "ebbe", "flut", "hafen", "insel", "jolle", "koje", "lotse", "mole", "priel")


def create_newsletter() -> Newsletter:
    """The demo's newsletter, created if it does not exist."""
    newsletter, _ = Newsletter.objects.get_or_create(
        slug="harbour-log",
        defaults={
            "name": "The Harbour Log",
            "description": "Thirty short stories on how port cities build, move and repair, every Tuesday at seven.",
            "sender_name": "The Harbour Log",
            "sender_email": "log@harbour.example",
            "reply_to": "editors@harbour.example",
            "postal_address": "The Harbour Log\n1 Demo Quay\n00000 Nowhere",
            "time_zone": "Europe/Berlin",
            "consent_mode": ConsentMode.CONSENT,
            "engagement_source": EngagementSource.PROVIDER,
            "known_sources": (SAMPLES / "known-sources.txt").read_text(encoding="utf-8"),
        },
    )
    return newsletter


def import_sample(newsletter: Newsletter, name: str) -> Issue:
    """Import one of the sample files as a draft."""
    parsed = read_issue((SAMPLES / name).read_text(encoding="utf-8"), newsletter.sources())
    return import_issue(newsletter, parsed, by="demo").issue


def create_subscribers(newsletter: Newsletter) -> None:
    """Create 500 subscribers, half of them with a first name, all of whom agree to tracking.

    Mail to the provider's test addresses among them bounces or is reported as spam.
    """
    import_confirmed(newsletter, sample_addresses(), proof="Generated for the demo; no one uses these addresses.")
    subscribers = list(Subscriber.objects.filter(canonical__endswith="@subscribers.example", first_name=""))
    named = subscribers[::2]
    for subscriber in named:
        subscriber.first_name = subscriber.canonical.partition(".")[0].capitalize()
    Subscriber.objects.bulk_update(named, ["first_name"], batch_size=200)
    Subscription.objects.filter(mailing_list=newsletter.pk).update(tracking_agreed_at=timezone.now())


def sample_addresses() -> list[str]:
    """All addresses. `.example` is a reserved top-level domain (RFC 2606)."""
    bouncing = [f"bounced+{number}@resend.dev" for number in range(1, BOUNCING + 1)]
    complaining = [f"complained+{number}@resend.dev" for number in range(1, COMPLAINING + 1)]
    names = [f"{first}.{family}" for family in FAMILY_NAMES for first in FIRST_NAMES]
    count = SUBSCRIBERS - BOUNCING - COMPLAINING
    ordinary = [f"{names[number % len(names)]}{number:03}@subscribers.example" for number in range(count)]
    # Spread evenly, so that every batch has some of them.
    step = count // (BOUNCING + COMPLAINING)
    for position, special in enumerate([*bouncing, *complaining]):
        ordinary.insert(position * (step + 1), special)
    return ordinary


def backdate_subscriptions(newsletter: Newsletter, days: int = 90) -> None:
    """Spread the subscriptions over the last `days`, with growing numbers."""
    now = timezone.now()
    subscriptions = list(Subscription.objects.filter(mailing_list=newsletter.pk).order_by("pk"))
    for position, subscription in enumerate(subscriptions, start=1):
        age = datetime.timedelta(days=days * (1 - (position / len(subscriptions)) ** 0.5), hours=1)
        subscription.created_at = subscription.confirmed_at = now - age
    Subscription.objects.bulk_update(subscriptions, ["created_at", "confirmed_at"], batch_size=200)


def schedule_for_next_tuesday(issue: Issue) -> None:
    """Schedule an issue for next Tuesday at 07:00, in the newsletter's time zone."""
    today = timezone.now().date()
    tuesday = today + datetime.timedelta(days=(1 - today.weekday()) % 7 or 7)
    wall = datetime.datetime.combine(tuesday, datetime.time(7))
    schedule_issue(issue, wall=wall, zone=issue.newsletter.time_zone, by="demo")


def set_editor_password(password: str) -> None:
    """Create the admin user if needed, and set its password."""
    user, _ = get_user_model().objects.get_or_create(
        username=EDITOR, defaults={"is_staff": True, "is_superuser": True, "email": "editor@harbour.example"}
    )
    user.set_password(password)
    user.save()
