"""The demo's content: a newsletter, its issues from files, readers who never existed."""

from __future__ import annotations

import datetime
from pathlib import Path

from django.contrib.auth import get_user_model
from django.utils import timezone

from newsletter.content.formats import read_issue
from newsletter.content.store import import_issue
from newsletter.models import Issue, Newsletter
from newsletter.sending.schedule import schedule_issue
from subscribers.imports.confirmed import import_confirmed
from subscribers.models import Subscriber, Subscription

SAMPLES = Path(__file__).parent / "samples"
EDITOR = "demo-editor"

READERS, BOUNCING, COMPLAINING = 500, 7, 2

GIVEN_NAMES = ("ada", "ben", "cleo", "dina", "emil", "finn", "greta", "hugo", "ines", "jonas", "kaya", "leon", "mara")
FAMILY_NAMES = ("anker", "boje", "deich", "ebbe", "flut", "hafen", "insel", "jolle", "koje", "lotse", "mole", "priel")


def make_newsletter() -> Newsletter:
    """The demo's newsletter, made once."""
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
            "known_sources": (SAMPLES / "known-sources.txt").read_text(encoding="utf-8"),
        },
    )
    return newsletter


def import_sample(newsletter: Newsletter, name: str) -> Issue:
    """One of the sample files as a draft."""
    reading = read_issue((SAMPLES / name).read_text(encoding="utf-8"), newsletter.sources())
    return import_issue(newsletter, reading, by="demo").issue


def make_readers(newsletter: Newsletter) -> None:
    """500 readers, half of them with a first name. At the provider's test addresses, mail bounces or is called spam."""
    import_confirmed(newsletter, reader_addresses(), proof="Made up for the demo; nobody is behind these addresses.")
    people = list(Subscriber.objects.filter(canonical__endswith="@readers.example", first_name=""))
    named = people[::2]  # the others never said, as readers do
    for person in named:
        person.first_name = person.canonical.partition(".")[0].capitalize()
    Subscriber.objects.bulk_update(named, ["first_name"], batch_size=200)


def reader_addresses() -> list[str]:
    """All addresses; `.example` can never be a real domain (RFC 2606)."""
    bouncing = [f"bounced+{number}@resend.dev" for number in range(1, BOUNCING + 1)]
    complaining = [f"complained+{number}@resend.dev" for number in range(1, COMPLAINING + 1)]
    names = [f"{given}.{family}" for family in FAMILY_NAMES for given in GIVEN_NAMES]
    count = READERS - BOUNCING - COMPLAINING
    ordinary = [f"{names[number % len(names)]}{number:03}@readers.example" for number in range(count)]
    # Spread among the others, so that every batch has something to tell.
    step = count // (BOUNCING + COMPLAINING)
    for position, special in enumerate([*bouncing, *complaining]):
        ordinary.insert(position * (step + 1), special)
    return ordinary


def spread_sign_ups(newsletter: Newsletter, days: int = 90) -> None:
    """Let the readers have come over the last months, more and more of them."""
    now = timezone.now()
    memberships = list(Subscription.objects.filter(mailing_list=newsletter.pk).order_by("pk"))
    for position, membership in enumerate(memberships, start=1):
        age = datetime.timedelta(days=days * (1 - (position / len(memberships)) ** 0.5), hours=1)
        membership.created_at = membership.confirmed_at = now - age
    Subscription.objects.bulk_update(memberships, ["created_at", "confirmed_at"], batch_size=200)


def schedule_for_next_tuesday(issue: Issue) -> None:
    """Schedule an issue as its newsletter promises: Tuesday at seven."""
    today = timezone.now().date()
    tuesday = today + datetime.timedelta(days=(1 - today.weekday()) % 7 or 7)
    wall = datetime.datetime.combine(tuesday, datetime.time(7))
    schedule_issue(issue, wall=wall, zone=issue.newsletter.time_zone, by="demo")


def set_editor_password(password: str) -> None:
    """The demo's admin login, with a password of this start."""
    user, _ = get_user_model().objects.get_or_create(
        username=EDITOR, defaults={"is_staff": True, "is_superuser": True, "email": "editor@harbour.example"}
    )
    user.set_password(password)
    user.save()
