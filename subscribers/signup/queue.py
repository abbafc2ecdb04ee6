"""The queue of sign-ups: stored by the page, answered by the worker.

The page looks up no subscriber. It stores one row for any address, so neither its answer nor its response time shows
who is subscribed. The worker then sends a confirmation mail, a notification or nothing.
"""

from __future__ import annotations

import datetime
import logging
from dataclasses import asdict

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from subscribers.addresses import Address, parse_address
from subscribers.consent.double_opt_in import request_subscription
from subscribers.models import Evidence, MailingList, Signup

log = logging.getLogger(__name__)

#: The most sign-ups of one network in an hour, for all addresses: enough for a large office.
SIGNUPS_AN_HOUR = 60
#: How long a sign-up is kept.
RETENTION = datetime.timedelta(days=1)
#: The delay before a sign-up is tried again that could not be answered.
RETRY_DELAY = datetime.timedelta(minutes=1)


class TooManySignups(Exception):
    """A network has reached SIGNUPS_AN_HOUR. Nothing was stored."""

    permanent = False


def store_signup(mailing_list: MailingList, address: Address, evidence: Evidence, *, network: str = "") -> Signup:
    """Store a sign-up for the worker. Raises TooManySignups."""
    hour_ago = timezone.now() - datetime.timedelta(hours=1)
    recent = Signup.objects.filter(network=network, created_at__gt=hour_ago)
    if network and recent.count() >= SIGNUPS_AN_HOUR:
        raise TooManySignups(f"The network {network} has reached {SIGNUPS_AN_HOUR} sign-ups an hour.")
    return Signup.objects.create(
        mailing_list=mailing_list, address=address.as_typed, evidence=asdict(evidence), network=network
    )


def answer_signups(limit: int = 50) -> bool:
    """Answer up to `limit` sign-ups; whether there may be more. A step of the worker.

    Each is answered in one transaction with all that follows from it, so a worker may be killed anywhere.
    """
    delete_old_signups()
    return all(_answer_next() for _ in range(limit))


def delete_old_signups() -> None:
    """Delete answered sign-ups after RETENTION."""
    old = Signup.objects.filter(due_at__isnull=True, created_at__lte=timezone.now() - RETENTION)
    # This read, and the one below, keep an idle worker from taking SQLite's one write lock at every turn.
    if old.exists():
        old.delete()


def _answer_next() -> bool:
    """Answer the sign-up that has waited longest; whether there was one."""
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
    """Answer a sign-up; when to try again. One that fails does not hold up the others."""
    evidence = Evidence(**{**signup.evidence, "at": signup.created_at})
    try:
        with transaction.atomic():
            request_subscription(signup.mailing_list, parse_address(signup.address), evidence)
    except OperationalError:
        raise
    except Exception:
        log.exception("sign-up %s for the list %s could not be answered", signup.pk, signup.mailing_list.slug)
        is_old = timezone.now() - signup.created_at > RETENTION
        return None if is_old else timezone.now() + RETRY_DELAY
    return None
