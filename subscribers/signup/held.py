"""The queue of held sign-ups: an editor releases or refuses them."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from subscribers.models import SIGNUP_MACHINE, DecisionReason, RuleAction, Signup, SignupState
from subscribers.signup.facts import facts_from_json
from subscribers.signup.rules import Decision, log_decision

#: Rows per transaction.
CHUNK = 500


def release(signups: QuerySet[Signup], *, by: str) -> int:
    """Let the worker answer these held sign-ups, without comparing them with rules; how many."""
    return _move(signups, RuleAction.ALLOW, by=by)


def refuse(signups: QuerySet[Signup], *, by: str) -> int:
    """End these held sign-ups without a mail; how many."""
    return _move(signups, RuleAction.REFUSE, by=by)


def _move(signups: QuerySet[Signup], action: RuleAction, *, by: str) -> int:
    """Each chunk in a transaction with its log. Of two editors at once, the first decides."""
    count = 0
    held = Signup.objects.filter(pk__in=signups.values("pk"), state=SignupState.HELD).order_by("pk")
    while True:
        with transaction.atomic():
            chunk = list(held.select_related("mailing_list").select_for_update(of=("self",))[:CHUNK])
            if not chunk:
                return count
            rows = Signup.objects.filter(pk__in=[signup.pk for signup in chunk])
            if action is RuleAction.ALLOW:
                SIGNUP_MACHINE.move(rows, SignupState.WAITING, due_at=timezone.now(), released_by=by[:150] or "editor")
            else:
                SIGNUP_MACHINE.move(rows, SignupState.REFUSED, reason=DecisionReason.EDITOR)
            for signup in chunk:
                decision = Decision(action, DecisionReason.EDITOR)
                log_decision(signup.mailing_list, decision, facts_from_json(signup.facts), by=by)
            count += len(chunk)
