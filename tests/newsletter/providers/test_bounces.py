"""Bounces: what real replies of mail servers mean. None about the sender, this mail or a full mailbox suppresses."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.providers import bounce_words, bounces
from newsletter.providers.bounce_classes import (
    CLASS_RULES,
    BounceClass,
    RecipientEffect,
    SendEffect,
    class_of,
    codes_for,
)
from newsletter.providers.bounces import SUPPRESSED_SUBTYPES, classify, read_reply
from newsletter.providers.resend.events import read_bounce
from tests.newsletter.providers.held_out_replies import HELD_OUT
from tests.newsletter.providers.replies import CASES, NAMES

SUPPRESSING = {kind for kind, rule in CLASS_RULES.items() if rule.recipient is RecipientEffect.SUPPRESS}
SUBTYPES = ("General", "NoEmail", "", "Undetermined", "MailboxFull", "MessageTooLarge", "ContentRejected")
LINK = "https://postmaster.example/help?ip=198.51.100.9"


def classes_of(reply: str, subtype: str = "General") -> set[BounceClass]:
    """The classes of a reply, whether the provider calls it permanent or not."""
    return {classify([f"smtp; {reply}"], is_permanent=claim, subtype=subtype) for claim in (True, False)}


@pytest.mark.parametrize(("kind", "reply"), CASES, ids=NAMES)
def test_a_reply_has_its_class_whatever_the_provider_claims(kind: BounceClass, reply: str) -> None:
    assert classes_of(reply) == {kind}


@pytest.mark.parametrize(("kind", "reply"), HELD_OUT, ids=[reply[:40] for _kind, reply in HELD_OUT])
def test_a_reply_that_was_held_out_has_its_class(kind: BounceClass, reply: str) -> None:
    assert classes_of(reply) == {kind}


def test_no_reply_is_both_held_out_and_not() -> None:
    assert not {reply for _kind, reply in CASES} & {reply for _kind, reply in HELD_OUT}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("550 5.1.1 User unknown (192.5.7.8)", BounceClass.NO_MAILBOX),
        ("554 delivery failed for 10.5.3.2", BounceClass.UNKNOWN),
        ("550 5.1.1 User unknown. Original message size: 535 KB", BounceClass.NO_MAILBOX),
        ("550 user unknown, message size: 535 KB", BounceClass.NO_MAILBOX),
        ("550 user unknown: 552@qq.com", BounceClass.NO_MAILBOX),
        ("550 <421-jo@example.org> user unknown", BounceClass.NO_MAILBOX),
        ("451 4.7.500 Server busy", BounceClass.RATE_LIMITED),
        ("550 5.1.10 Recipient not found", BounceClass.NO_MAILBOX),
        ("Earlier attempt: 421 4.7.0 too busy\n550 5.1.1 User unknown", BounceClass.NO_MAILBOX),
        ("550 5.1.1 User unknown (earlier attempt: 421 4.7.0 too busy)", BounceClass.NO_MAILBOX),
        ("550 5.1.1 unknown user (previous response: 451 greylisted)", BounceClass.NO_MAILBOX),
        (
            "554 4.4.7 Message expired: unable to deliver in 840 minutes.<550 5.1.1 user unknown>",
            BounceClass.NO_MAILBOX,
        ),
        ("host mx.example.org[192.0.2.9] said: 452 4.2.2 mailbox full", BounceClass.MAILBOX_FULL),
        ("5.0.0 refused to talk to me: 554 5.7.1 poor reputation", BounceClass.POLICY),
        ("554 4.0.0 no such user", BounceClass.NO_MAILBOX),
        ("450 5.1.1 no such user", BounceClass.TEMPORARY),
        ("550 5.1.1 no such user, see https://www.spamhaus.org/query/ip/192.0.2.7", BounceClass.UNKNOWN),
        ("550 recipient domain does not exist", BounceClass.NO_DOMAIN),
        ("550 recipient jo: connection closed by remote host", BounceClass.UNKNOWN),
        ("552", BounceClass.UNKNOWN),
        ("552 5.3.4 too big", BounceClass.CONTENT),
        ("550 5.2.1", BounceClass.UNKNOWN),
        ("550 5.4.1", BounceClass.TEMPORARY),
        ("550 5.7.17", BounceClass.NO_MAILBOX),
        ("550 5.7.18", BounceClass.NO_DOMAIN),
        ("550 5.1.10", BounceClass.NULL_MX),
        ("550 5.1.8", BounceClass.POLICY),
        ("451 4.3.2", BounceClass.TEMPORARY),
        ("550 5.7.999", BounceClass.POLICY),
    ],
)
def test_numbers_links_and_quoted_replies_are_no_verdict(reply: str, kind: BounceClass) -> None:
    assert classes_of(reply) == {kind}


@pytest.mark.parametrize("subtype", sorted(SUPPRESSED_SUBTYPES))
def test_what_the_provider_did_not_try_is_suppressed_and_no_bounce(subtype: str) -> None:
    assert classes_of("550 5.1.1 user unknown", subtype) == {BounceClass.SUPPRESSED}


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"type": "Permanent", "subType": "General"}, BounceClass.NO_MAILBOX),
        ({"type": "Permanent", "subType": "NoEmail"}, BounceClass.NO_MAILBOX),
        ({"type": "Permanent"}, BounceClass.NO_MAILBOX),
        ({"type": "Permanent", "subType": "Undetermined"}, BounceClass.UNKNOWN),
        ({"type": "Permanent", "subType": "MailboxFull"}, BounceClass.MAILBOX_FULL),
        ({"type": "Permanent", "subType": "MessageTooLarge"}, BounceClass.CONTENT),
        ({"type": "Transient", "subType": "General"}, BounceClass.TEMPORARY),
        ({"type": "Undetermined", "subType": "Undetermined"}, BounceClass.UNKNOWN),
        ({"type": "Transient", "subType": "ContentRejected"}, BounceClass.CONTENT),
    ],
)
def test_type_and_subtype_decide_only_without_a_reply(claims: dict[str, str], kind: BounceClass) -> None:
    canned = "The recipient's email provider sent a hard bounce message about content, but didn't specify the reason."
    assert read_bounce(claims).kind is kind
    assert read_bounce({**claims, "message": canned}).kind is kind, "the provider's own sentence is no reply"
    assert read_bounce({**claims, "message": "550 5.7.515 Access denied, sending domain"}).kind is BounceClass.POLICY


def test_the_reply_counts_and_not_the_sentence_before_it() -> None:
    told = {
        "type": "Permanent",
        "subType": "General",
        "message": "The recipient's email provider sent a hard bounce message.",
        "diagnosticCode": ["smtp; 552 5.2.2 mailbox full"],
    }
    found = read_bounce(told)
    assert (found.kind, found.is_permanent) == (BounceClass.MAILBOX_FULL, True)
    assert "552 5.2.2 mailbox full" in found.words


# --- Properties -----------------------------------------------------------------------------------------------------

#: Words about the sender, as in the table.
ABOUT_US = (
    "blocked using zen.spamhaus.org", "poor reputation", "DMARC check failed", "SPF", "DKIM", "listed by SpamCop",
    "your IP is blocked", "policy reasons", "block list", "DNSBL", "PTR record", "unauthenticated", "HELO rejected",
    "sender rejected", "sending IP", "local policy", "Client host rejected", "S3140", "[TSS09] permanently deferred",
)  # fmt: skip
FILLERS = ("Mailbox unavailable.", "Access denied.", "Recipient address rejected.", "(AS123)", "mailbox full", "closed",
           "too big", "account suspended", "domain not found", "null MX", "rejected", "temporarily")  # fmt: skip
CODES = ("", "550", "554", "552", "421", "450", "550 5.1.1", "550 5.1.0", "550 5.2.1", "550 5.4.1", "554 5.7.1",
         "550 5.1.10", "550 5.5.0", "421 4.7.0", "525 5.7.13")  # fmt: skip


@given(
    code=st.sampled_from(CODES),
    words=st.sampled_from(ABOUT_US),
    around=st.lists(st.sampled_from(FILLERS), max_size=3),
    is_first=st.booleans(),
    claim=st.sampled_from((True, False, None)),
    subtype=st.sampled_from(SUBTYPES),
)
def test_no_reply_about_the_sender_suppresses(
    code: str, words: str, around: list[str], is_first: bool, claim: bool | None, subtype: str
) -> None:
    reply = " ".join((code, *((words, *around) if is_first else (*around, words))))
    assert classify([reply], is_permanent=claim, subtype=subtype) not in SUPPRESSING


@given(
    case=st.sampled_from([case for case in CASES if "\n" not in case[1]]),
    fold=st.lists(st.integers(min_value=1, max_value=200), max_size=4),
    is_upper=st.booleans(),
    tail=st.sampled_from(("", f" {LINK}", " 198.51.100.9", f" [198.51.100.9] {LINK}")),
    separator=st.sampled_from(("-", " ")),
)
def test_capitals_folded_lines_and_help_links_change_nothing(
    case: tuple[BounceClass, str], fold: list[int], is_upper: bool, tail: str, separator: str
) -> None:
    kind, reply = case
    code = re.match(r"[245]\d\d[ -]([245]\.\d{1,3}\.\d{1,3} )?", reply)
    text = reply + tail
    if code:
        prefix = f"\r\n{reply[:3]}{separator}{code[1] or ''}"
        words = text[code.end() :].split(" ")
        for place in sorted({at % len(words) for at in fold} - {0}, reverse=True):
            words[place : place + 1] = [prefix + words[place]]
        text = text[: code.end()] + " ".join(words).replace(" \r\n", "\r\n")
    assert classes_of(text.upper() if is_upper else text) == {kind}, text


@given(st.text(max_size=300), st.sampled_from((True, False, None)), st.text(max_size=20))
def test_any_text_has_a_class(text: str, claim: bool | None, subtype: str) -> None:
    assert classify([text], is_permanent=claim, subtype=subtype) in BounceClass


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(("type", "subType", "message", "diagnosticCode", "reason")), inner)
        ),
    )
)
def test_any_bounce_of_the_provider_can_be_read(bounce: object) -> None:
    assert read_bounce(bounce).kind in BounceClass


# --- Cost -----------------------------------------------------------------------------------------------------------


def patterns() -> dict[str, re.Pattern[str]]:
    return {
        f"{module.__name__}.{name}": value
        for module in (bounces, bounce_words)
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
    }


def _worst_steps(parsed: object, *, inside: bool = False) -> int:
    """The most characters that one match may run over from one start. Fails where a repetition has no bound."""
    from re import _constants as op  # type: ignore[attr-defined]

    steps = 1
    for code, argument in parsed:  # type: ignore[attr-defined]
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            low_high, body = argument[:2], argument[2]
            is_simple = len(body) == 1 and body[0][0] in (op.IN, op.ANY, op.NOT_LITERAL, op.LITERAL, op.CATEGORY)
            if low_high[1] is op.MAXREPEAT:
                # Such as `\S*` at the end of a URL: one pass over the text, if nothing has to match behind it.
                assert is_simple
                assert not inside
                steps += bounces.MAX_LENGTH
            else:
                assert low_high[1] <= 400
                steps += low_high[1] * _worst_steps(body, inside=True)
        elif code is op.SUBPATTERN:
            steps += _worst_steps(argument[-1], inside=inside)
        elif code is op.BRANCH:
            steps += sum(_worst_steps(branch, inside=inside) for branch in argument[1])
        elif code in (op.ASSERT, op.ASSERT_NOT):
            steps += _worst_steps(argument[1], inside=inside)
    return steps


@pytest.mark.parametrize("name", patterns())
def test_the_cost_of_a_pattern_is_bounded_by_its_form(name: str) -> None:
    from re import _parser  # type: ignore[attr-defined]

    assert _worst_steps(_parser.parse(patterns()[name].pattern)) < 20_000


def test_only_the_first_characters_of_a_text_are_read() -> None:
    reply = read_reply("550 5.1.1 " + "x" * 100_000 + " user unknown")
    assert reply is not None
    assert len(reply.words) <= bounces.MAX_LENGTH
    assert not reply.is_about_mailbox


@pytest.mark.parametrize(
    "piece",
    ["5.1.1 ", "account ", "sender ", "<550 ", "-> ", "a@", "a.", "aa-.", "may not exist ", "mailbox ", "quota ",
     "earlier attempt ", "said: ", "550-", "1.", "::", "domain ", "too many ", "\x00", "\n550-5.1.1 "],
)  # fmt: skip
def test_a_hostile_text_has_a_class(piece: str) -> None:
    text = (piece * bounces.MAX_LENGTH)[: bounces.MAX_LENGTH]
    assert classify([text, f"550 {text}"], is_permanent=True, subtype="General") in BounceClass


# --- The table of classes ---------------------------------------------------------------------------------------------


def test_each_class_says_what_follows_from_it() -> None:
    assert set(CLASS_RULES) == set(BounceClass)
    assert all(len(kind.value) <= 16 and rule.name and rule.meaning for kind, rule in CLASS_RULES.items())


def test_only_classes_about_mailbox_and_domain_suppress_at_once_and_count_as_bounces() -> None:
    assert {BounceClass.NO_MAILBOX, BounceClass.INACTIVE, BounceClass.NULL_MX} == SUPPRESSING
    assert set(codes_for(send=SendEffect.BOUNCE_RATE)) == {"no_mailbox", "inactive", "null_mx", "hard"}


def test_policy_rates_content_and_greylisting_are_no_soft_bounces() -> None:
    nothing = {kind for kind, rule in CLASS_RULES.items() if rule.recipient is RecipientEffect.NOTHING}
    expected = {"policy", "rate_limited", "content", "greylisted", "auto_reply", "suppressed"}
    assert {kind.value for kind in nothing} == expected


@pytest.mark.parametrize(("code", "kind"), [("hard", BounceClass.NO_MAILBOX), ("soft", BounceClass.UNKNOWN),
                                            ("policy", BounceClass.POLICY), ("inactive", BounceClass.INACTIVE),
                                            ("", None), ("other", None)])  # fmt: skip
def test_codes_of_an_earlier_version_stay_readable(code: str, kind: BounceClass | None) -> None:
    assert class_of(code) is kind
