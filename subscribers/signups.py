"""Sign-ups: what the web keeps when a button is pressed, and how the worker answers it.

The web looks nobody up. It keeps one row, whoever the address belongs to, so neither its answer nor the time it takes
can tell who is on a list (R-37). What follows – a mail that asks, a note, or nothing – the worker decides.
"""

from __future__ import annotations

import datetime
import logging
from dataclasses import asdict

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from subscribers.addresses import Address, parse_address
from subscribers.consent import request_subscription
from subscribers.models import MailingList, Signup
from subscribers.transitions import Evidence

log = logging.getLogger(__name__)

#: Most sign-ups from one network within an hour, whatever the addresses: a big office, not a machine (R-39).
SIGNUPS_AN_HOUR = 60
#: How long a sign-up is kept.
KEPT = datetime.timedelta(days=1)
#: How long a sign-up rests that could not be answered.
PAUSE = datetime.timedelta(minutes=1)


class TooManySignups(Exception):
    """One network signs up more addresses than people do; nothing was written, and trying later helps."""

    permanent = False


def note_signup(mailing_list: MailingList, address: Address, evidence: Evidence, *, network: str = "") -> Signup:
    """Keep a sign-up for the worker to answer. Raises TooManySignups."""
    hour_ago = timezone.now() - datetime.timedelta(hours=1)
    recent = Signup.objects.filter(network=network, created_at__gt=hour_ago)
    if network and recent.count() >= SIGNUPS_AN_HOUR:
        raise TooManySignups(
            "Too many sign-ups have come from your network within the last hour. Please try again later."
        )
    return Signup.objects.create(
        mailing_list=mailing_list, address=address.as_given, evidence=asdict(evidence), network=network
    )


def answer_signups(limit: int = 50) -> bool:
    """Answer up to `limit` sign-ups that wait; whether there may be more. A step of the worker.

    Each is answered in one transaction with what follows from it: a worker killed in between leaves it to the next.
    """
    forget_old_signups()
    return all(_answer_next() for _ in range(limit))


def forget_old_signups() -> None:
    """Remove what was typed into forms a day ago and is answered."""
    old = Signup.objects.filter(due_at__isnull=True, created_at__lte=timezone.now() - KEPT)
    # Looking first, here and below, keeps an idle worker from taking SQLite's one write lock at every look.
    if old.exists():
        old.delete()


def _answer_next() -> bool:
    """Answer the sign-up that waits longest; whether there was one."""
    waiting = Signup.objects.filter(due_at__lte=timezone.now()).order_by("due_at", "pk")
    if not waiting.exists():
        return False
    with transaction.atomic():
        signup = (
            waiting.select_related("mailing_list")
            .select_for_update(of=("self",), skip_locked=connection.features.has_select_for_update_skip_locked)
            .first()
        )
        if signup is None:
            return False
        Signup.objects.filter(pk=signup.pk).update(due_at=_answer(signup))
    return True


def _answer(signup: Signup) -> datetime.datetime | None:
    """Do what follows from a sign-up. None, or when to try again: one that fails must not hold up the others."""
    evidence = Evidence(**{**signup.evidence, "at": signup.created_at})
    try:
        with transaction.atomic():
            request_subscription(signup.mailing_list, parse_address(signup.address), evidence)
    except OperationalError:
        raise
    except Exception:
        log.exception("sign-up %s for the list %s cannot be answered", signup.pk, signup.mailing_list.slug)
        is_old = timezone.now() - signup.created_at > KEPT
        return None if is_old else timezone.now() + PAUSE
    return None
