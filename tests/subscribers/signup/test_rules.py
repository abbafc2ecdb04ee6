"""Rules of sign-ups: conditions, order, decisions, the log, and the dry run over it."""

from __future__ import annotations

import datetime
import ipaddress
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from subscribers.addresses import parse_address
from subscribers.models import (
    CustomField,
    DecisionReason,
    Evidence,
    MailDomainStatus,
    RuleAction,
    Signup,
    SignupDecision,
    SignupRule,
    SignupState,
    Subscriber,
)
from subscribers.signup import rules as signup_rules
from subscribers.signup.facts import Facts, clean_source, facts_from_json, facts_of, shared_network
from subscribers.signup.queue import Submission, facts_of_submission, process_signups, store
from subscribers.signup.rules import decide, delete_old_decisions, dry_run, first_match, in_words, matches
from tests.people import make_mailing_list

pytestmark = pytest.mark.django_db

GUS = "gus@example.org"


def rule(**fields: Any) -> SignupRule:
    """A rule that is not stored."""
    made = SignupRule(**fields)
    made.clean_fields(exclude=["mailing_list"])
    made.clean()
    return made


def submit(address: str = GUS, *, seconds: float | None = 10.0, network: str = "192.0.2.7", **fields: Any) -> Signup:
    submission = Submission(
        mailing_list=fields.pop("mailing_list", None) or make_mailing_list(),
        address=parse_address(address),
        evidence=Evidence(form="signup"),
        seconds=seconds,
        network=network,
        **fields,
    )
    return store(submission, facts_of_submission(submission))


def processed(signup: Signup) -> Signup:
    process_signups()
    signup.refresh_from_db()
    return signup


# --- Conditions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "met", "unmet"),
    [
        ({"domains": "example.org\nexample.net"}, {"domain": "example.net"}, {"domain": "mail.example.net"}),
        ({"domains": ".example.net"}, {"domain": "mail.example.net"}, {"domain": "myexample.net"}),
        ({"domains": ".example.net"}, {"domain": "example.net"}, {"domain": "example.org"}),
        ({"is_disposable": True}, {"is_disposable": True}, {}),
        ({"is_role": True}, {"is_role": True}, {}),
        ({"mail_domain": MailDomainStatus.NULL_MX}, {"mail_domain": "null_mx"}, {"mail_domain": "unknown"}),
        ({"networks": "203.0.113.0/24 2001:db8::/32"}, {"network": "203.0.113.9"}, {"network": "203.0.114.9"}),
        ({"networks": "203.0.113.0/24 2001:db8::/32"}, {"network": "2001:db8:1::/64"}, {"network": ""}),
        ({"sources": "Spring, fair"}, {"source": "spring"}, {"source": "spring fair"}),
        ({"languages": "ru, zh"}, {"language": "ru"}, {"language": ""}),
        ({"has_url": True}, {"has_url": True}, {}),
        ({"is_honeypot": True}, {"is_honeypot": True}, {}),
        ({"max_seconds": Decimal("2.5")}, {"seconds": 2.4}, {"seconds": 2.5}),
        ({"max_seconds": Decimal("2.5")}, {"seconds": 0.6}, {"seconds": None}),
        ({"rate_scope": "domain", "rate_above": 3}, {"rates": {"domain-1": 4}}, {"rates": {"domain-1": 3}}),
        (
            {"rate_scope": "network", "rate_hours": 24, "rate_above": 3},
            {"rates": {"network-24": 4}},
            {"rates": {"network-1": 4}},
        ),
    ],
)
def test_a_condition_is_met_or_not(condition: dict[str, Any], met: dict[str, Any], unmet: dict[str, Any]) -> None:
    assert matches(rule(**condition), Facts(**met))
    assert not matches(rule(**condition), Facts(**unmet))


def test_a_condition_on_an_answer() -> None:
    CustomField.objects.create(mailing_list=make_mailing_list(), key="city", label="City")
    bergen, any_city = rule(field_key="city", field_value="Bergen"), rule(field_key="city")
    assert matches(bergen, Facts(answers={"city": "bergen"}))
    assert not matches(bergen, Facts(answers={"city": "Oslo"}))
    assert matches(any_city, Facts(answers={"city": "Oslo"}))
    assert not matches(any_city, Facts())


def test_a_rule_matches_if_all_of_its_conditions_are_met() -> None:
    both = rule(domains="example.org", is_role=True)
    assert matches(both, Facts(domain="example.org", is_role=True))
    assert not matches(both, Facts(domain="example.org"))
    assert matches(rule(), Facts())


def test_the_first_rule_that_matches_decides() -> None:
    allow, hold = rule(domains="example.org", action="allow"), rule(is_role=True, action="hold")
    facts = Facts(domain="example.org", is_role=True)
    assert first_match([allow, hold], facts) is allow
    assert first_match([hold, allow], facts) is hold
    assert first_match([hold], Facts()) is None


@pytest.mark.parametrize(
    ("text", "has_url"),
    [
        ("Bergen", False),
        ("St. Gallen", False),
        ("http://pills.example", True),
        ("see WWW.pills", True),
        ("buy at pills.shop now", True),
        ("//x", False),
    ],
)
def test_web_addresses_in_answers_are_found(text: str, has_url: bool) -> None:
    assert facts_of(parse_address(GUS), {"city": text}).has_url is has_url


@given(st.text(max_size=300))
def test_a_source_is_one_short_line_without_control_characters(raw: str) -> None:
    source = clean_source(raw)
    assert len(source) <= 60
    assert source == " ".join(source.split())
    assert source.isprintable() or not any(ord(character) < 32 for character in source)
    assert clean_source(source) == source


@given(
    st.builds(
        Facts,
        domain=st.text(max_size=20),
        network=st.one_of(st.just(""), st.ip_addresses().map(str)),
        seconds=st.none() | st.floats(0, 7200),
        rates=st.dictionaries(st.sampled_from(["domain-1", "site-24"]), st.integers(0, 100)),
        answers=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    )
)
def test_facts_survive_their_json_and_the_log_has_no_personal_part(facts: Facts) -> None:
    assert facts_from_json(facts.as_json() | {"from_a_later_version": 1}) == facts
    logged = facts.for_log()
    assert logged["answers"] == {}
    if facts.network:
        kept = ipaddress.ip_network(logged["network"])
        assert kept.prefixlen == (24 if kept.version == 4 else 48)
        assert kept.supernet_of(ipaddress.ip_network(facts.network))  # type: ignore[arg-type]


def test_a_large_network_is_logged_as_it_is() -> None:
    assert (shared_network("10.0.0.0/8"), shared_network("")) == ("10.0.0.0/8", "")


# --- What editors enter ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"domains": "exa mple"},
        {"domains": "EXAMPLE.org"},
        {"domains": "a;b.example"},
        {"networks": "203.0.113.7/24"},
        {"networks": "localhost"},
        {"rate_scope": "domain"},
        {"rate_above": 3},
        {"field_value": "Bergen"},
        {"field_key": "city"},
        {"max_seconds": Decimal("0.1")},
        {"mail_domain": "null_mx", "action": "challenge"},
        {"mail_domain": "accepts"},
        {"action": "burn"},
    ],
)
def test_a_rule_that_could_never_match_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**fields)


@pytest.mark.parametrize(
    "fields", [{"rate_scope": "domain"}, {"rate_above": 3}, {"mail_domain": "null_mx", "action": "challenge"}]
)
def test_the_database_refuses_it_too(fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        SignupRule.objects.create(**fields)


def test_conditions_are_shown_in_words() -> None:
    shown = in_words(
        rule(
            domains="example.org .example.net",
            is_role=True,
            networks="192.0.2.0/24",
            max_seconds=Decimal("2.0"),
            rate_scope="domain",
            rate_above=1,
        )
    )
    assert shown == (
        "mail domain: example.org, .example.net; role address; network: 192.0.2.0/24; submitted within 2 s; "
        "more than 1 sign-up – Same mail domain, in an hour"
    )
    assert in_words(rule()) == "every sign-up"


# --- Decisions ---------------------------------------------------------------------------------------------------


def test_a_challenge_is_held_unless_it_was_solved() -> None:
    challenge = rule(action="challenge")
    assert decide([challenge], Facts()).action is RuleAction.HOLD
    assert decide([challenge], Facts()).reason is DecisionReason.NOT_SOLVED
    assert decide([challenge], Facts(is_solved=True)).action is RuleAction.ALLOW


@pytest.mark.parametrize(
    ("address", "fields", "state"),
    [
        (GUS, {}, SignupState.PROCESSED),
        (GUS, {"is_honeypot": True}, SignupState.REFUSED),
        ("abuse@example.org", {}, SignupState.HELD),
        (GUS, {"answers": {"city": "http://pills.example"}}, SignupState.HELD),
        ("gus@mailinator.com", {}, SignupState.PROCESSED),
    ],
)
def test_the_rules_of_a_new_installation(address: str, fields: dict[str, Any], state: SignupState) -> None:
    _restore_default_rules()
    signup = processed(submit(address, **fields))
    assert signup.state == state
    assert Subscriber.objects.exists() is (state == SignupState.PROCESSED)
    decision = SignupDecision.objects.get()
    assert decision.rule == signup.rule
    assert (decision.rule is None) is (state == SignupState.PROCESSED)


def _restore_default_rules() -> None:
    """Those that the migration makes; tests that flush the database lose them."""
    from importlib import import_module

    from django.apps import apps

    SignupRule.objects.all().delete()
    import_module("subscribers.migrations.0009_subscribers_and_audiences").add_default_rules(apps, None)
    assert SignupRule.objects.count() == 6


def test_a_rule_of_a_list_applies_to_that_list_only() -> None:
    SignupRule.objects.all().delete()
    SignupRule.objects.create(mailing_list=make_mailing_list("tide-tables"), action="refuse")
    assert processed(submit()).state == SignupState.PROCESSED
    assert processed(submit(mailing_list=make_mailing_list("tide-tables"))).state == SignupState.REFUSED


def test_an_inactive_rule_decides_nothing() -> None:
    SignupRule.objects.all().delete()
    SignupRule.objects.create(action="refuse", is_active=False)
    assert processed(submit()).state == SignupState.PROCESSED


def test_the_log_has_neither_address_nor_answers_nor_the_whole_network() -> None:
    submit("gus.canary@example.org", answers={"city": "canary-city"}, source="canary-source")
    process_signups()
    logged = repr(list(SignupDecision.objects.values()))
    assert "gus" not in logged
    assert "canary-city" not in logged
    assert "192.0.2.7" not in logged
    assert "192.0.2.0/24" in logged
    assert "canary-source" in logged


def test_the_log_is_kept_for_eight_days() -> None:
    submit()
    process_signups()
    now = timezone.now()
    delete_old_decisions(now + datetime.timedelta(days=7, hours=23))
    assert SignupDecision.objects.exists()
    delete_old_decisions(now + datetime.timedelta(days=8, hours=1))
    assert not SignupDecision.objects.exists()


def test_a_sign_up_of_an_earlier_version_is_processed() -> None:
    signup = submit()
    Signup.objects.update(facts={}, answers={})
    assert processed(signup).state == SignupState.PROCESSED


# --- The dry run -------------------------------------------------------------------------------------------------


def test_a_dry_run_counts_what_rules_would_have_done() -> None:
    SignupRule.objects.all().delete()
    for number in range(5):
        submit(f"gus-{number}@example.org")
    submit("hana@company.example")
    process_signups()
    before = list(Signup.objects.values())
    hold, refuse = SignupRule(domains="company.example"), SignupRule(action="refuse", domains=".example")
    found = dry_run([hold, refuse], now=timezone.now())
    assert (found.total, found.would, found.did) == (6, {"allow": 5, "hold": 1}, {"allow": 6})
    assert [line.count for line in found.by_rule] == [1, 0]
    assert list(Signup.objects.values()) == before


def test_a_dry_run_leaves_out_older_sign_ups_and_decisions_of_editors() -> None:
    submit()
    process_signups()
    SignupDecision.objects.create(mailing_list=make_mailing_list(), action="allow", reason="editor")
    assert dry_run([], now=timezone.now()).total == 1
    assert dry_run([], now=timezone.now() + datetime.timedelta(days=8)).total == 0


def test_a_dry_run_of_many_sign_ups_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signup_rules, "MAX_DRY_RUN", 2)
    for number in range(3):
        submit(f"gus-{number}@example.org")
    process_signups()
    found = dry_run([], now=timezone.now())
    assert (found.total, found.is_cut) == (2, True)
