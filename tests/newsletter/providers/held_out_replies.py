"""Replies that the classifier was not made from, with their classes. A text is here or in `replies`, never in both.

Written from general knowledge of how mail servers answer. Where one of them is misjudged, mend the kind of reply that
it stands for; its own words are no reason for a pattern.
"""

from __future__ import annotations

from newsletter.providers.bounce_classes import BounceClass

C = BounceClass

HELD_OUT: tuple[tuple[BounceClass, str], ...] = (
    # No such mailbox
    (C.NO_MAILBOX, "550 5.1.1 User unknown; rejecting"),
    (C.NO_MAILBOX, "550 5.1.1 <jo@example.org>... User unknown"),
    (C.NO_MAILBOX, "550 #5.1.0 Address rejected."),
    (C.NO_MAILBOX, "550 No such user here"),
    (C.NO_MAILBOX, "550-5.1.1 The email account that you tried to reach does not exist. Please try\n"
     "550-5.1.1 double-checking the recipient's email address for typos or\n550 5.1.1 unnecessary spaces."),
    (C.NO_MAILBOX, "550 Unknown user jo@example.org"),
    (C.NO_MAILBOX, "550 5.1.1 sorry, no mailbox here by that name. (#5.1.1)"),
    (C.NO_MAILBOX, "550 <jo@example.org>: Recipient address rejected: User unknown in local recipient table"),
    (C.NO_MAILBOX, "554 5.1.1 <jo@example.org>: Recipient address rejected: undeliverable address: host "
     "mx1.example.org[192.0.2.9] said: 550 5.1.1 <jo@example.org> User doesn't exist (in reply to RCPT TO command)"),
    (C.NO_MAILBOX, "550 5.1.1 Mailbox does not exist"),
    (C.NO_MAILBOX, "550 5.1.1 The recipient address jo@example.org was not found on this server"),
    (C.NO_MAILBOX, "553 5.3.0 <jo@example.org>... Addressee unknown, relay=[192.0.2.7]"),
    (C.NO_MAILBOX, "550 Account not found: jo"),
    (C.NO_MAILBOX, "511 sorry, no mailbox here by that name (#5.1.1 - chkuser)"),
    (C.NO_MAILBOX, "550 5.1.1 Unbekannter Empfaenger"),
    (C.NO_MAILBOX, "host mx.example.org[192.0.2.9] said: 550 5.1.1 No such user - pp (in reply to RCPT TO command)"),
    (C.NO_MAILBOX, "550 relay not permitted - no such user jo"),
    # Inactive
    (C.INACTIVE, "550 5.2.1 The account jo@example.org is disabled"),
    (C.INACTIVE, "550 5.2.1 Mailbox disabled for this recipient"),
    (C.INACTIVE, "554 5.2.1 This account has been suspended"),
    (C.INACTIVE, "550 Recipient's mailbox has been deactivated"),
    (C.INACTIVE, "550 This email account has been closed by its owner"),
    (C.INACTIVE, "550 5.2.1 The user's account has expired"),
    (C.TEMPORARY, "450 4.2.1 The mailbox is temporarily disabled"),
    # Domain
    (C.NO_DOMAIN, "550 Host unknown"),
    (C.NO_DOMAIN, "512 5.1.2 Bad destination host 'DNS Hard Error looking up example.org (MX): NXDomain'"),
    (C.NO_DOMAIN, "550 5.1.2 <jo@example.org>: Recipient address rejected: Domain not found"),
    (C.NO_DOMAIN, "550 5.4.4 Host or domain name not found. Name service error for name=example.org type=MX: Host "
     "not found"),
    (C.NULL_MX, "556 5.1.10 Recipient domain has a null MX record"),
    (C.TEMPORARY, "450 4.1.2 <jo@example.org>: Recipient address rejected: Domain not found"),
    (C.TEMPORARY, "451 4.4.3 Temporary server error. Please try again later"),
    # Full
    (C.MAILBOX_FULL, "552 5.2.2 User jo has exhausted allowed storage space; mailbox is full"),
    (C.MAILBOX_FULL, "452 4.2.2 Over quota"),
    (C.MAILBOX_FULL, "550 5.7.1 Quota exceeded (mailbox for user is full)"),
    (C.MAILBOX_FULL, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException"),
    (C.MAILBOX_FULL, "552 <jo@example.org> Mailbox disk quota exceeded"),
    (C.MAILBOX_FULL, "422 4.2.2 The recipient's mailbox is over its storage limit"),
    # About the sender
    (C.POLICY, "554 5.7.1 Service unavailable; Helo command rejected: need fully-qualified hostname"),
    (C.POLICY, "550 5.7.1 SPF check failed: 192.0.2.7 is not allowed to send mail for example.org"),
    (C.POLICY, "554 Your IP (192.0.2.7) is listed in our local blacklist"),
    (C.POLICY, "550 5.7.1 Message rejected due to DMARC. Please see https://help.example/dmarc"),
    (C.POLICY, "421 4.7.1 Intrusion prevention active for [192.0.2.7]: poor reputation"),
    (C.POLICY, "550 5.1.1 <jo@example.org>: Sender address rejected: not owned by user"),
    (C.POLICY, "550 5.1.8 Access denied, bad outbound sender AS(42004)"),
    (C.POLICY, "554 5.7.1 You are not allowed to connect: reverse DNS lookup failed"),
    (C.POLICY, "550 JunkMail rejected - mail.example.org [192.0.2.7] is in an RBL, see https://rbl.example/?192.0.2.7"),
    (C.POLICY, "571 5.7.1 Delivery not authorized, message refused: local policy"),
    (C.POLICY, "454 4.7.0 Authentication failed: the DKIM signature of the message did not verify"),
    # Rates, greylisting
    (C.RATE_LIMITED, "452 4.5.3 Too many recipients"),
    (C.RATE_LIMITED, "421 Too many concurrent SMTP connections from this IP address; please try again later"),
    (C.RATE_LIMITED, "450 4.7.1 Error: too much mail from 192.0.2.7"),
    (C.GREYLISTED, "451 4.7.1 Greylisting in action, please come back in 00:05:00"),
    (C.GREYLISTED, "450 4.2.0 <jo@example.org>: Recipient address rejected: Policy restrictions: greylisted for 300 "
     "seconds"),
    # About the mail
    (C.CONTENT, "552 5.2.3 Message size exceeds maximum value"),
    (C.CONTENT, "554 5.7.1 Message scored too high by the spam filter"),
    (C.CONTENT, "550 5.7.0 Attachment type .exe is not allowed here"),
    (C.CONTENT, "554 5.6.0 Message contains a virus: Eicar-Test-Signature"),
    (C.CONTENT, "550 This message was classified as SPAM and may not be delivered"),
    (C.CONTENT, "554 5.7.1 [P4] Message blocked: it contains a link to a phishing page"),
    # Others
    (C.RELAY_DENIED, "550 5.7.1 Relaying denied. Proper authentication required."),
    (C.RELAY_DENIED, "550 5.7.64 TenantAttribution; Relay Access Denied"),
    (C.NOT_WANTED, "550 5.7.124 RESOLVER.RST.RestrictedToRecipientsPermission; not authorized to send to the list"),
    (C.TEMPORARY, "421 4.4.2 mx.example.org Error: timeout exceeded"),
    (C.TEMPORARY, "451 4.3.0 Temporary lookup failure"),
    (C.TEMPORARY, "554 5.4.14 Hop count exceeded - possible mail loop ATTR34"),
    (C.TEMPORARY, "550 4.4.1 Connection timed out"),
    (C.UNKNOWN, "554 Transaction failed"),
    (C.UNKNOWN, "550 5.0.0 Rejected"),
    (C.AUTO_REPLY, "Automatic reply: I am on vacation until 4 January"),
)  # fmt: skip
