"""Comparing sign-ups with rules: in order, the first rule that matches decides."""

from __future__ import annotations

import datetime
import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from subscribers.models import DecisionReason, MailingList, RateScope, RuleAction, SignupDecision, SignupRule
from subscribers.signup.facts import Facts, facts_from_json

#: How long decisions are kept, and how far back a dry run goes.
DECISION_RETENTION, DRY_RUN_PERIOD = datetime.timedelta(days=8), datetime.timedelta(days=7)

#: The most sign-ups that a dry run compares, the latest first.
MAX_DRY_RUN = 20_000


def rules_for(mailing_list: MailingList) -> list[SignupRule]:
    """The active rules of a list and those of all lists, in their order; one query."""
    active = SignupRule.objects.filter(is_active=True).in_order()
    return [rule for rule in active if rule.mailing_list_id in (None, mailing_list.pk)]


def first_match(rules: Iterable[SignupRule], facts: Facts) -> SignupRule | None:
    """The rule that decides about a sign-up, if any."""
    return next((rule for rule in rules if matches(rule, facts)), None)


def matches(rule: SignupRule, facts: Facts) -> bool:
    """Whether a sign-up meets all conditions of a rule. A rule without conditions matches every sign-up."""
    return all(_conditions(rule, facts))


def _conditions(rule: SignupRule, facts: Facts) -> Iterator[bool]:
    """Whether each condition of the rule is met; those that the rule does not have are left out."""
    if rule.domains:
        yield any(_is_in(facts.domain, domain) for domain in rule.domains.split())
    if rule.is_disposable:
        yield facts.is_disposable
    if rule.is_role:
        yield facts.is_role
    if rule.mail_domain:
        yield facts.mail_domain == rule.mail_domain
    if rule.networks:
        yield _is_in_networks(facts.network, rule.networks.split())
    if rule.sources:
        yield facts.source.casefold() in listed(rule.sources)
    if rule.languages:
        yield facts.language.casefold() in listed(rule.languages)
    if rule.has_url:
        yield facts.has_url
    if rule.field_key:
        yield _is_answered(facts, rule.field_key, rule.field_value)
    if rule.is_honeypot:
        yield facts.is_honeypot
    if rule.max_seconds is not None:
        yield facts.seconds is not None and facts.seconds < float(rule.max_seconds)
    if rule.rate_scope and rule.rate_above is not None:
        yield facts.rates.get(f"{rule.rate_scope}-{rule.rate_hours}", 0) > rule.rate_above


def listed(text: str) -> list[str]:
    """The parts of a list with commas, without regard to capital letters."""
    return [part.strip().casefold() for part in text.split(",") if part.strip()]


def _is_in(domain: str, wanted: str) -> bool:
    return domain == wanted.removeprefix(".") or (wanted.startswith(".") and domain.endswith(wanted))


def _is_in_networks(network: str, wanted: Iterable[str]) -> bool:
    """Whether the network overlaps one of the wanted. Of the log, which keeps larger networks, it may be too many."""
    if not network:
        return False
    parsed = ipaddress.ip_network(network)
    others = (ipaddress.ip_network(text) for text in wanted)
    return any(parsed.version == other.version and parsed.overlaps(other) for other in others)


def _is_answered(facts: Facts, key: str, value: str) -> bool:
    answer = facts.answers.get(key, "")
    return answer.casefold() == value.casefold() if value else bool(answer)


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a sign-up, and why."""

    action: RuleAction
    reason: DecisionReason
    rule: SignupRule | None = None


def decide(rules: Iterable[SignupRule], facts: Facts) -> Decision:
    """What the rules say: allow, hold or refuse. A challenge that was not solved holds the sign-up."""
    rule = first_match(rules, facts)
    if rule is None:
        return Decision(RuleAction.ALLOW, DecisionReason.NO_RULE)
    if rule.action != RuleAction.CHALLENGE:
        return Decision(RuleAction(rule.action), DecisionReason.RULE, rule)
    if facts.is_solved:
        return Decision(RuleAction.ALLOW, DecisionReason.RULE, rule)
    return Decision(RuleAction.HOLD, DecisionReason.NOT_SOLVED, rule)


def asks_for_challenge(rules: Iterable[SignupRule], facts: Facts) -> bool:
    """Whether a challenge decides, before the DNS was asked."""
    rule = first_match(rules, facts)
    return rule is not None and rule.action == RuleAction.CHALLENGE


def needs_mail_domain(rules: Iterable[SignupRule]) -> bool:
    """Whether a rule asks what the DNS says."""
    return any(rule.mail_domain for rule in rules)


# --- The dry run ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many sign-ups of the period one rule would decide."""

    rule: SignupRule
    count: int


@dataclass(frozen=True, slots=True)
class DryRun:
    """What rules would have done with the sign-ups of the last seven days."""

    total: int
    would: dict[str, int]
    """Sign-ups by RuleAction. Challenges count as such: whether they would be solved is unknown."""
    did: dict[str, int]
    """What was done with the same sign-ups."""
    by_rule: list[RuleCount]
    is_cut: bool
    """Whether there were more than MAX_DRY_RUN."""


def dry_run(rules: Sequence[SignupRule], *, now: datetime.datetime) -> DryRun:
    """Compare the sign-ups of the last seven days with these rules, in their order. Changes nothing.

    The log has no answers, so that rules about an answer match nothing here; rules about networks see a /24 or /48.
    """
    since = now - DRY_RUN_PERIOD
    rows = SignupDecision.objects.filter(created_at__gt=since).exclude(reason=DecisionReason.EDITOR)
    latest = rows.order_by("-created_at").values_list("mailing_list", "action", "facts")[: MAX_DRY_RUN + 1]
    would: Counter[str] = Counter()
    did: Counter[str] = Counter()
    hits: Counter[int] = Counter()
    total = 0
    for list_pk, action, values in latest.iterator(chunk_size=1000):
        if total == MAX_DRY_RUN:
            return _result(rules, total, would, did, hits, is_cut=True)
        total += 1
        facts = facts_from_json(values)
        mine = (index for index, rule in enumerate(rules) if rule.mailing_list_id in (None, list_pk))
        hit = next((index for index in mine if matches(rules[index], facts)), None)
        would[rules[hit].action if hit is not None else RuleAction.ALLOW.value] += 1
        did[action] += 1
        if hit is not None:
            hits[hit] += 1
    return _result(rules, total, would, did, hits, is_cut=False)


def _result(
    rules: Sequence[SignupRule], total: int, would: Counter[str], did: Counter[str], hits: Counter[int], *, is_cut: bool
) -> DryRun:
    counts = [RuleCount(rule, hits[index]) for index, rule in enumerate(rules)]
    return DryRun(total, dict(would), dict(did), counts, is_cut)


def log_decision(mailing_list: MailingList, decision: Decision, facts: Facts, *, by: str = "") -> None:
    """Append a decision to the log."""
    SignupDecision.objects.create(
        mailing_list=mailing_list,
        action=decision.action,
        reason=decision.reason,
        rule=decision.rule,
        by=by[:150],
        facts=facts.for_log(),
    )


def delete_old_decisions(now: datetime.datetime) -> None:
    """Delete decisions after DECISION_RETENTION. Reads first, so that an idle worker locks nothing."""
    old = SignupDecision.objects.filter(created_at__lte=now - DECISION_RETENTION)
    if old.exists():
        old.delete()


def with_mail_domain(facts: Facts, status: str) -> Facts:
    """The facts with what the DNS says."""
    return replace(facts, mail_domain=status)


# --- In words ------------------------------------------------------------------------------------------------------


def in_words(rule: SignupRule) -> str:
    """The conditions of a rule as a sentence in the active language."""
    conditions = list(_phrases(rule))
    return _("; ").join(conditions) if conditions else _("every sign-up")


def _phrases(rule: SignupRule) -> Iterator[str]:
    if rule.domains:
        yield _("mail domain: %(domains)s") % {"domains": ", ".join(rule.domains.split())}
    if rule.is_disposable:
        yield _("disposable mail domain")
    if rule.is_role:
        yield _("role address")
    if rule.mail_domain:
        yield _("mail domain: %(status)s") % {"status": rule.get_mail_domain_display()}
    if rule.networks:
        yield _("network: %(networks)s") % {"networks": ", ".join(rule.networks.split())}
    if rule.sources:
        yield _("source: %(sources)s") % {"sources": rule.sources}
    if rule.languages:
        yield _("language: %(languages)s") % {"languages": rule.languages}
    if rule.has_url:
        yield _("an answer contains a web address")
    if rule.field_key:
        yield f"{rule.field_key}: {rule.field_value or _('any answer')}"
    if rule.is_honeypot:
        yield _("the hidden field is filled in")
    if rule.max_seconds is not None:
        yield _("submitted within %(seconds)s s") % {"seconds": rule.max_seconds.normalize()}
    if rule.rate_scope and rule.rate_above is not None:
        sentence = ngettext(
            "more than %(count)d sign-up – %(scope)s, %(window)s",
            "more than %(count)d sign-ups – %(scope)s, %(window)s",
            rule.rate_above,
        )
        window = str(rule.get_rate_hours_display()).lower()
        yield sentence % {"count": rule.rate_above, "scope": RateScope(rule.rate_scope).label, "window": window}
