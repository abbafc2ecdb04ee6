"""The queue of sign-ups: stored by the page, processed by the worker.

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
MAX_SIGNUPS_PER_HOUR = 60
#: How long a sign-up is kept.
RETENTION = datetime.timedelta(days=1)
#: The delay before a sign-up is tried again that could not be processed.
RETRY_DELAY = datetime.timedelta(minutes=1)


class TooManySignups(Exception):
    """A network has reached MAX_SIGNUPS_PER_HOUR. Nothing was stored."""

    permanent = False


def store_signup(mailing_list: MailingList, address: Address, evidence: Evidence, *, network: str = "") -> Signup:
    """Store a sign-up for the worker. Raises TooManySignups."""
    hour_ago = timezone.now() - datetime.timedelta(hours=1)
    recent = Signup.objects.filter(network=network, created_at__gt=hour_ago)
    if network and recent.count() >= MAX_SIGNUPS_PER_HOUR:
        raise TooManySignups(f"The network {network} has reached {MAX_SIGNUPS_PER_HOUR} sign-ups an hour.")
    return Signup.objects.create(
        mailing_list=mailing_list, address=address.as_typed, evidence=asdict(evidence), network=network
    )


def process_signups(limit: int = 50) -> bool:
    """Process up to `limit` sign-ups. Returns True if there may be more. A step of the worker.

    Each is processed in one transaction with all that follows from it, so a worker may be killed anywhere.
    """
    delete_old_signups()
    return all(_process_next() for _ in range(limit))


def delete_old_signups() -> None:
    """Delete processed sign-ups after RETENTION."""
    old = Signup.objects.filter(due_at__isnull=True, created_at__lte=timezone.now() - RETENTION)
    # This read, and the one below, keep an idle worker from taking SQLite's one write lock at every turn.
    if old.exists():
        old.delete()


def _process_next() -> bool:
    """Process the sign-up that has waited longest. Returns False if there is none."""
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
        Signup.objects.filter(pk=signup.pk).update(due_at=_process(signup))
    return True


def _process(signup: Signup) -> datetime.datetime | None:
    """Process a sign-up. Returns when to try again, or None. One that fails does not hold up the others."""
    evidence = Evidence(**{**signup.evidence, "at": signup.created_at})
    try:
        with transaction.atomic():
            result = request_subscription(signup.mailing_list, parse_address(signup.address), evidence)
    except OperationalError:
        raise
    except Exception:
        if timezone.now() - signup.created_at > RETENTION:
            log.exception("Sign-up given up", extra={"signup": signup.pk})
            return None
        log.exception("Sign-up could not be processed", extra={"signup": signup.pk})
        return timezone.now() + RETRY_DELAY
    # The result explains why a subscriber got no mail; the address stays out of the log.
    log.info("Sign-up processed", extra={"signup": signup.pk, "result": result.code})
    return None
