"""Bounces: what real replies of mail servers mean. None about the sender, this mail or a full mailbox suppresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.providers.base import BounceKind
from newsletter.providers.bounces import ABOUT_THE_MAILBOX, BounceCause, cause_of
from newsletter.providers.resend.events import bounce_of

#: Replies by cause, with the provider that sends them first.
REPLIES: dict[BounceCause, tuple[tuple[str, str], ...]] = {
    BounceCause.NO_MAILBOX: (
        ("Gmail", "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the "
         "recipient's email address for typos https://support.google.com/mail/?p=NoSuchUser - gsmtp"),
        ("Outlook", "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)"),
        ("Microsoft 365", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
        ("Microsoft 365", "550 5.4.1 Recipient address rejected: Access denied [AM7EUR06.prod.protection.outlook.com]"),
        ("Yahoo", "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]"),
        ("Yahoo", "552 1 Requested mail action aborted, mailbox not found"),
        ("AOL", "550 5.1.1 <x@aol.com>: Recipient address rejected: aol.com"),
        ("Comcast", "550 5.1.1 Not our Customer"),
        ("Apple", "550 5.1.1 unknown or illegal alias: x@icloud.com"),
        ("Apple", "550 5.1.1 <x@privaterelay.appleid.com>: user not found"),
        ("Apple", "550 5.1.6 recipient no longer on server: x"),
        ("GMX", "550 Requested action not taken: mailbox unavailable For explanation visit "
         "https://postmaster.1und1.de/en/case?c=r1601&i=ip&v=192.0.2.7"),
        ("Orange", "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]"),
        ("Free", "550 5.1.1 user unknown (UserSearch)"),
        ("SFR", "550 5.7.1 <x@sfr.fr>: Recipient address rejected: User unknown"),
        ("Yandex", "550 5.7.1 No such user!"),
        ("Mail.ru", "550 Message was not accepted -- invalid mailbox. Local mailbox x@mail.ru is unavailable: "
                    "user not found"),
        ("Mimecast", "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [abc]"),
        ("Zoho", "550 5.1.1 User does not exist - <x@example.org>"),
        ("Postfix", "550 5.1.1 <x@example.org>: Recipient address rejected: User unknown in virtual mailbox table"),
        ("qmail", "553 sorry, no mailbox here by that name (#5.1.1)"),
        ("Microsoft 365", "550 5.1.351 Remote server returned unknown recipient or mailbox unavailable -> 550 : "
                          "User unknown"),
    ),
    BounceCause.INACTIVE: (
        ("Gmail", "550 5.2.1 The email account that you tried to reach is inactive. https://g.example/?p=DisabledUser"),
        ("Yahoo", "554 30 Sorry, your message to x@yahoo.fr cannot be delivered. This mailbox is disabled (554.30)."),
        ("Apple", "550 5.1.1 <x@icloud.com>: inactive email address"),
        ("La Poste", "550 5.5.0 Boite du destinataire archivee. Archived recipient. LPN007_420"),
        ("Free", "550 5.2.1 This mailbox has been blocked due to inactivity (UserSearch)"),
        ("QQ", "550 x@qq.com is a deactivated mailbox"),
        ("163", "550 User suspended"),
        ("i.ua", "550 Mailbox is frozen. See http://mail.i.ua/err/3/"),
        ("Postfix", "525 5.7.13 Disabled recipient address"),
    ),
    BounceCause.NULL_MX: (
        ("Postfix", "556 5.1.10 <x@example.org>: Recipient address rejected: Domain has null MX"),
    ),
    BounceCause.POLICY: (
        ("Gmail", "550 5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires "
                  "all senders "
         "to authenticate with either SPF or DKIM."),
        ("Gmail", "550 5.7.26 Unauthenticated email from example.org is not accepted due to domain's DMARC policy."),
        ("Gmail", "421 4.7.40 Your email has been rate limited because the sending domain doesn't have a DMARC record"),
        ("Gmail", "550 5.7.1 This message is likely suspicious due to the very low reputation of the sending domain."),
        ("Gmail", "550 5.7.25 The IP address sending this message does not have a PTR record setup"),
        ("Outlook", "550 5.7.515 Access denied, sending domain example.org doesn't meet the required "
                    "authentication level."),
        ("Outlook", "550 5.7.606 Access denied, banned sending IP [192.0.2.7]. To request removal from this "
                    "list please visit "
         "https://sender.office.com/ (AS16012609)"),
        ("Outlook", "550 5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Please contact your "
                    "Internet service "
         "provider since part of their network is on our block list (S3140)."),
        ("Outlook", "550 SC-001 (BAY004-MC1F1) Unfortunately, messages weren't sent. Mail rejected by "
                    "Outlook.com for policy reasons."),
        ("Microsoft 365", "550 5.7.1 <x@example.org>: Recipient address rejected: Access denied"),
        ("Yahoo", "554 Message not allowed - [PH01] Email not accepted for policy reasons."),
        ("Yahoo", "554 5.7.9 Message not accepted for policy reasons."),
        ("Yahoo", "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.7, because the ip is in "
                  "Spamhaus's list"),
        ("Yahoo", "553 5.7.2 [TSS09] All messages from 192.0.2.7 will be permanently deferred; Retrying will "
                  "NOT succeed."),
        ("AT&T", "553 5.3.0 flph844 DNSBL:RBL 521< 192.0.2.7 >_is_blocked. For assistance forward this email to "
                 "abuse_rbl@abuse-att.net"),
        ("Apple", "550 5.7.1 [CS01] Message rejected due to local policy."),
        ("Apple", "554 5.7.1 [HME1] This message was blocked for failing both SPF and DKIM authentication checks."),
        ("GMX", "554-Transaction failed 554-Reject due to policy restrictions. 554 For explanation visit "
                "https://postmaster.gmx.net/"),
        ("GMX", "554-mail.com (mxgmxus002) Nemesis ESMTP Service not available 554-No SMTP service 554-Bad DNS "
                "PTR resource record."),
        ("GMX", "554 gmx.net (mxgmx117) Nemesis ESMTP Service not available, IP address is block listed."),
        ("T-Online", "554 IP=192.0.2.7 - A problem occurred. (Ask your postmaster for help or to contact "
                     "tosa@rx.t-online.de "
         "to clarify.) (BL)"),
        ("Orange", "550 mwinf5c04 ME Adresse IP source bloquee pour incident de spam. Client host blocked for "
                   "spamming issues. "
         "OFR006_102"),
        ("Mimecast", "550 csi.mimecast.org Poor Reputation Sender. - https://community.mimecast.com/docs/DOC-1369#550"),
        ("Proofpoint", "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.7"),
        ("Barracuda", "550 permanent failure for one or more recipients (x@example.org:blocked)"),
        ("Spectrum", "550 5.1.0 <b@amazonses.com> sender rejected. Please see https://x.example AUP#In-1310"),
        ("Virgin", "550 5.1.0 MXIN506 MailFrom domain is listed in Spamhaus."),
        ("Zimbra", "550 5.2.1 Mailbox unavailable. Your IP address 192.0.2.7 is blacklisted using SPAMHAUS-XBL"),
        ("Postfix", "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org"),
        ("Postfix", "553 5.1.8 <x@example.org>... Domain of sender address x@example.org does not exist"),
        ("Plain", "550 Blocked using Spamhaus"),
    ),
    BounceCause.MAILBOX_FULL: (
        ("Gmail", "452 4.2.2 The recipient's inbox is out of storage space. https://g.example/?p=OverQuotaTemp"),
        ("Gmail", "552 5.2.2 The recipient's inbox is out of storage space and inactive. "
                  "https://g.example/?p=OverQuotaPerm"),
        ("Microsoft 365", "550 5.2.2 STOREDRV.Deliver: mailbox full."),
        ("Apple", "552 5.2.2 <x@icloud.com>: user is over quota"),
        ("Web.de", "552 Requested mail action aborted: exceeded storage allocation Quota exceeded"),
        ("Orange", "552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]"),
        ("Plain", "552 5.2.2 mailbox full"),
    ),
    BounceCause.RATE_LIMITED: (
        ("Gmail", "550 5.2.1 The user you are trying to contact is receiving email at a rate that prevents additional "
         "messages from being delivered. https://g.example/?p=ReceivingRatePerm"),
        ("Microsoft 365", "550 5.2.122 Recipient's per hour message receive limit exceeded"),
        ("GoDaddy", "550 5.1.1 <x@example.org> - 192.0.2.7 has sent to too many recipients this hour. IB607"),
        ("Yahoo", "421 4.7.0 [TSS04] Messages from 192.0.2.7 temporarily deferred due to unexpected volume or "
                  "user complaints"),
        ("Apple", "421 4.7.1 Messages to x@icloud.com deferred due to excessive volume."),
    ),
    BounceCause.CONTENT: (
        ("Gmail", "550 5.7.1 This message is likely unsolicited email."),
        ("Gmail", "552 5.7.0 This message was blocked because its content presents a potential security issue."),
        ("Gmail", "552 5.3.4 Your message exceeded Google's message size limits."),
        ("Postfix", "552 5.3.4 Message size exceeds fixed limit"),
        ("T-Online", "550 The message has been rejected due to spam or virus classification"),
        ("Barracuda", "550 5.7.1 Message content rejected, UBE, id=12345"),
    ),
    BounceCause.NOT_WANTED: (
        ("Facebook", "550 5.1.1 RCP-P2 https://fb.example Refused due to recipient preferences"),
        ("Exchange", "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required"),
    ),
    BounceCause.NO_DOMAIN: (
        ("Gmail", "553 5.1.2 We weren't able to find the recipient domain."),
        ("Exim", "550 Unrouteable address"),
        ("Amazon SES", "550 5.4.4 Invalid domain"),
    ),
    BounceCause.TEMPORARY: (
        ("Amazon SES", "554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>"),
        ("Postfix", "450 4.1.1 <x@example.org>: Recipient address rejected: User unknown in virtual alias table"),
        ("Postfix", "450 4.7.1 <x@example.org>: Recipient address rejected: Greylisted, try again in 500 seconds"),
    ),
    BounceCause.RELAY_DENIED: (("Postfix", "554 5.7.1 <x@example.org>: Relay access denied"),),
    BounceCause.UNKNOWN: (("Yahoo", "554 delivery error: dd Requested mail action aborted"),),
    BounceCause.EMPTY: (
        ("", ""),
        ("Resend", "The recipient's email provider sent a hard bounce message, but didn't specify the reason."),
    ),
}  # fmt: skip

CASES = [(cause, reply) for cause, replies in REPLIES.items() for _provider, reply in replies]
NAMES = [f"{provider}-{cause.value}" for cause, replies in REPLIES.items() for provider, _reply in replies]


@pytest.mark.parametrize(("cause", "reply"), CASES, ids=NAMES)
def test_a_reply_has_its_cause(cause: BounceCause, reply: str) -> None:
    assert cause_of(reply) is cause


@pytest.mark.parametrize(("cause", "reply"), CASES, ids=NAMES)
def test_only_a_reply_about_the_mailbox_suppresses(cause: BounceCause, reply: str) -> None:
    said = {"message": reply} if cause is BounceCause.EMPTY else {"diagnosticCode": [f"smtp; {reply}"]}
    kind, _detail = bounce_of({"type": "Permanent", "subType": "General", **said})
    expected = BounceKind.POLICY if cause is BounceCause.POLICY else BounceKind.SOFT
    # Nothing but “Permanent” was said.
    is_hard = cause in ABOUT_THE_MAILBOX or cause is BounceCause.EMPTY
    assert kind is (BounceKind.HARD if is_hard else expected)


SUBTYPES = ("General", "NoEmail", "", "Undetermined", "MailboxFull")
LINK = "https://postmaster.example/help?ip=198.51.100.9"


@pytest.mark.parametrize("cause", [BounceCause.POLICY, BounceCause.MAILBOX_FULL])
def test_no_subtype_makes_a_reply_about_the_sender_or_a_full_mailbox_suppress(cause: BounceCause) -> None:
    for reply in (reply for its_cause, reply in CASES if its_cause is cause):
        for subtype in SUBTYPES:
            kind, _detail = bounce_of({"type": "Permanent", "subType": subtype, "message": reply})
            assert kind is not BounceKind.HARD, reply


@pytest.mark.parametrize("cause", [cause for cause in REPLIES if cause is not BounceCause.EMPTY])
def test_capitals_lines_and_help_links_change_nothing(cause: BounceCause) -> None:
    for reply in (reply for its_cause, reply in CASES if its_cause is cause):
        for suffix in ("", f" {LINK}", " 198.51.100.9"):
            text = f"smtp; {reply}{suffix}"
            for variant in (text.upper(), text.replace(". ", ".\r\n")):
                assert cause_of(variant) is cause, variant


@given(st.text(max_size=300))
def test_any_text_has_a_cause(text: str) -> None:
    assert cause_of(text) in BounceCause


def test_a_long_text_takes_no_time() -> None:
    for piece in ("5.1.1 ", "account ", "sender ", "<550 ", "-> ", "a@", "may not exist "):
        assert cause_of(piece * 20_000) in BounceCause
