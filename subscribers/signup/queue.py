"""The queue of sign-ups: stored by the page, processed by the worker.

The page looks up no subscriber. It stores one row for any address, so neither its answer nor its response time shows
who is subscribed. The worker then applies rules and limits, and sends a confirmation mail, a notification or nothing.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from subscribers.addresses import Address, domain_of, parse_address
from subscribers.consent.double_opt_in import RequestResult, keep_on_hold, request_subscription
from subscribers.models import (
    COMPLAINT_HOLD,
    DAY,
    SIGNUP_MACHINE,
    DecisionReason,
    Evidence,
    MailingList,
    RateScope,
    RuleAction,
    Signup,
    SignupRule,
    SignupState,
)
from subscribers.signup import mail_domains
from subscribers.signup.facts import Facts, facts_from_json, facts_of
from subscribers.signup.forms import Answer, answers_as_text
from subscribers.signup.limits import LimitReached, TooManySignups, admit, count_signup, delete_old_limits
from subscribers.signup.rules import Decision, decide, delete_old_decisions, log_decision, rules_for, with_mail_domain
from subscribers.signup.stamps import use_stamp

__all__ = ["Submission", "TooManySignups", "facts_of_submission", "process_signups", "store", "store_signup"]

log = logging.getLogger(__name__)

#: How long a processed or refused sign-up is kept, and how long one that waits for an editor.
RETENTION, HELD_RETENTION = datetime.timedelta(days=1), datetime.timedelta(days=8)
#: The delay before a sign-up is tried again that could not be processed.
RETRY_DELAY = datetime.timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A valid submission of a form."""

    mailing_list: MailingList
    address: Address
    evidence: Evidence
    network: str = ""
    source: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    language: str = ""
    is_honeypot: bool = False
    seconds: float | None = None
    is_embedded: bool = False
    is_solved: bool = False
    stamp_keys: tuple[str, ...] = ()
    """Of the form’s stamp and of a solved challenge: each counts once."""


def facts_of_submission(submission: Submission, *, now: datetime.datetime | None = None) -> Facts:
    """Count the submission, and the facts that rules are compared with. Raises TooManySignups."""
    rates = count_signup(
        network=submission.network,
        canonical=submission.address.canonical,
        is_embedded=submission.is_embedded,
        now=now or timezone.now(),
    )
    return facts_of(
        submission.address,
        answers_as_text(submission.answers),
        network=submission.network,
        source=submission.source,
        language=submission.language,
        is_honeypot=submission.is_honeypot,
        seconds=submission.seconds,
        is_embedded=submission.is_embedded,
        is_solved=submission.is_solved,
        rates=rates,
    )


def store(submission: Submission, facts: Facts) -> Signup:
    """Store a sign-up for the worker. Raises StampUsed."""
    signup = Signup(
        mailing_list=submission.mailing_list,
        address=submission.address.as_typed,
        evidence=asdict(submission.evidence),
        network=submission.network,
        source=submission.source,
        answers=dict(submission.answers),
        facts=facts.as_json(),
    )
    with transaction.atomic():
        for key in submission.stamp_keys:
            use_stamp(key, signup.key)
        signup.save(force_insert=True)
    return signup


def store_signup(
    mailing_list: MailingList, address: Address, evidence: Evidence, *, network: str = "", source: str = ""
) -> Signup:
    """Count and store a sign-up without a form. Raises TooManySignups."""
    submission = Submission(
        mailing_list=mailing_list, address=address, evidence=evidence, network=network, source=source
    )
    return store(submission, facts_of_submission(submission))


def process_signups(limit: int = 50) -> bool:
    """Process up to `limit` sign-ups. Returns True if there may be more. A step of the worker.

    Each is processed in one transaction with all that follows from it, so a worker may be killed anywhere.
    """
    now = timezone.now()
    delete_old_signups()
    delete_old_decisions(now)
    delete_old_limits(now)
    mail_domains.delete_old_mail_domains(now)
    _check_mail_domains(limit, now)
    return all(_process_next() for _ in range(limit))


def delete_old_signups() -> None:
    """Delete processed and refused sign-ups after RETENTION, held ones after HELD_RETENTION."""
    now = timezone.now()
    finished = Q(due_at__isnull=True, created_at__lte=now - RETENTION) & ~Q(state=SignupState.HELD)
    old = Signup.objects.filter(finished | Q(state=SignupState.HELD, created_at__lte=now - HELD_RETENTION))
    # This read, and the one below, keep an idle worker from taking SQLite's one write lock at every turn.
    if old.exists():
        old.delete()


def _check_mail_domains(limit: int, now: datetime.datetime) -> None:
    """Ask the DNS about the domains of the next sign-ups, if a rule needs it."""
    if not settings.SIGNUP_MX_CHECK:
        return
    waiting = Signup.objects.filter(due_at__lte=now, released_by="").order_by("due_at", "pk")
    domains = {domain_of(address) for address in waiting.values_list("address", flat=True)[:limit]}
    if domains and SignupRule.objects.filter(is_active=True).exclude(mail_domain="").exists():
        mail_domains.check_mail_domains(domains, now)


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
        _process(signup)
    return True


def _process(signup: Signup) -> None:
    """Process a sign-up. One that fails is tried again later, and does not hold up the others."""
    row = Signup.objects.filter(pk=signup.pk)
    try:
        with transaction.atomic():
            decision, result = _decide_and_act(signup)
    except OperationalError:
        raise
    except Exception:
        if timezone.now() - signup.created_at > _patience(signup):
            log.exception("Sign-up given up", extra={"signup": signup.pk})
            SIGNUP_MACHINE.move(row, SignupState.PROCESSED, due_at=None)
            return
        log.exception("Sign-up could not be processed", extra={"signup": signup.pk})
        row.update(due_at=timezone.now() + RETRY_DELAY)
        return
    # The result explains why a subscriber got no mail; the address stays out of the log.
    log.info("Sign-up processed", extra={"signup": signup.pk, "result": result})
    if result == RequestResult.ON_HOLD.code:
        if keep_on_hold(signup, parse_address(signup.address)):
            return
        decision = Decision(RuleAction.REFUSE, DecisionReason.REPEATED)
    target = {RuleAction.HOLD: SignupState.HELD, RuleAction.REFUSE: SignupState.REFUSED}
    SIGNUP_MACHINE.move(
        row,
        target.get(decision.action, SignupState.PROCESSED),
        due_at=None,
        reason=decision.reason,
        rule=decision.rule,
    )


def _patience(signup: Signup) -> datetime.timedelta:
    """How old a sign-up may get while it cannot be processed."""
    if signup.reason == DecisionReason.COMPLAINT:
        return COMPLAINT_HOLD + HELD_RETENTION
    return HELD_RETENTION if signup.released_by else RETENTION


def _decide_and_act(signup: Signup) -> tuple[Decision, str]:
    """Decide about a sign-up and ask its owner to confirm if it is allowed; the decision, and a result for the log."""
    now = timezone.now()
    address = parse_address(signup.address)
    if signup.released_by:
        return Decision(RuleAction.ALLOW, DecisionReason.EDITOR), _ask(signup, address)
    if signup.reason == DecisionReason.COMPLAINT:
        # The rules have allowed it before the hold.
        return Decision(RuleAction.ALLOW, DecisionReason.COMPLAINT), _ask(signup, address)
    facts = _facts(signup, address, now)
    decision = _decision(signup, facts)
    result = decision.action.value
    if decision.action is RuleAction.ALLOW:
        try:
            # Its own savepoint: a sign-up that is held does not count as admitted.
            with transaction.atomic():
                is_trusted = decision.rule is not None and decision.rule.action == RuleAction.ALLOW
                admit(facts.domain, now=now, is_trusted=is_trusted)
                result = _ask(signup, address)
        except LimitReached as error:
            decision, result = _held(signup, error.reason), error.reason.value
    log_decision(signup.mailing_list, decision, facts)
    return decision, result


def _ask(signup: Signup, address: Address) -> str:
    evidence = Evidence(**{**signup.evidence, "at": signup.created_at})
    result = request_subscription(signup.mailing_list, address, evidence, source=signup.source, answers=signup.answers)
    return result.code


def _facts(signup: Signup, address: Address, now: datetime.datetime) -> Facts:
    """The stored facts, with what the DNS says. A sign-up of an earlier version has none."""
    facts = facts_from_json(signup.facts) if signup.facts else facts_of(address, {}, network=signup.network)
    status = mail_domains.known_statuses([facts.domain], now).get(facts.domain, "") if settings.SIGNUP_MX_CHECK else ""
    return with_mail_domain(facts, status)


def _decision(signup: Signup, facts: Facts) -> Decision:
    if facts.rates.get(f"{RateScope.ADDRESS}-{DAY}", 0) > settings.SIGNUP_ADDRESS_LIMIT:
        return Decision(RuleAction.REFUSE, DecisionReason.ADDRESS_LIMIT)
    decision = decide(rules_for(signup.mailing_list), facts)
    if decision.action is RuleAction.HOLD:
        return replace(_held(signup, decision.reason), rule=decision.rule)
    return decision


def _held(signup: Signup, reason: DecisionReason) -> Decision:
    """Held, unless the same sign-up is held already: an editor decides once."""
    same = Signup.objects.held().filter(mailing_list=signup.mailing_list_id, address=signup.address)
    if same.exists():
        return Decision(RuleAction.REFUSE, DecisionReason.REPEATED)
    return Decision(RuleAction.HOLD, reason)
