"""What a refusal says: the text of a mail server's reply, sorted by an ordered table of patterns. Pure.

Texts are read before codes, because large providers give codes other meanings: an unknown mailbox is `550 5.7.1` at
Yandex and `550 5.4.1` at Microsoft, and reputation is `550 5.1.0` at others. A text about the sender comes before one
about the mailbox: such a reply is sent to every recipient of a provider, and must not suppress all of them.

Codes: RFC 5321, RFC 3463, RFC 7505 (null MX), RFC 7372 (authentication), RFC 7293 (5.7.17, 5.7.18).
"""

from __future__ import annotations

import enum
import re

#: Of a reply, this many characters are read.
MAX_LENGTH = 4096


class BounceCause(enum.Enum):
    """What a reply is about."""

    NO_MAILBOX = "no_mailbox"
    """The mailbox does not exist."""
    INACTIVE = "inactive"
    """The mailbox is disabled, closed or not used."""
    NO_DOMAIN = "no_domain"
    """The domain does not exist or has no mail server. A fault of its DNS says the same."""
    NULL_MX = "null_mx"
    """The domain declares that it takes no mail."""
    MAILBOX_FULL = "mailbox_full"
    POLICY = "policy"
    """About the sender: reputation, block lists, authentication, local rules."""
    RATE_LIMITED = "rate_limited"
    CONTENT = "content"
    """About this mail: its size, its content, its headers."""
    TEMPORARY = "temporary"
    RELAY_DENIED = "relay_denied"
    """That server does not take mail for the domain."""
    NOT_WANTED = "not_wanted"
    """This recipient or group takes no mail of this sender."""
    AUTO_REPLY = "auto_reply"
    UNKNOWN = "unknown"
    """There is a text, and nothing in the table fits it."""
    EMPTY = "empty"
    """There is no text of a mail server."""


#: Causes that end all mail to an address at once.
ABOUT_THE_MAILBOX = frozenset({BounceCause.NO_MAILBOX, BounceCause.INACTIVE, BounceCause.NULL_MX})

#: Provider's own sentences in place of a reply. Words in them mean nothing.
CANNED = re.compile(r"^the recipient's email provider sent a")

#: A reply that is quoted in another one is the one that counts, the last of them: after an arrow, in angle brackets
#: with
#: a code, or after “said:”.
NESTED = re.compile(r"(?:->|<(?=[245]\d\d[ -])|\bsaid:)\s*")

BASIC_CODE = re.compile(r"(?:^|\bsmtp;\s*)\W{0,2}([245])\d\d(?![\d.@])")
ENHANCED_CODE = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")

#: What is no text of a reply: URLs, addresses, IP addresses.
URL, ADDRESS = re.compile(r"https?://\S*"), re.compile(r"[^\s<>\"'(]{1,64}@[^\s<>\"':)\]]{1,255}")
IP = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")

_MAILBOX = (
    r"user unknown|unknown user|no such (?:user|recipient|mailbox|person|id|address)|doesn't have an? .{0,40}account"
    r"|(?:account|mailbox|user|address|recipient)[^.]{0,60}(?:does not|doesn't) exist|mailbox not found|user not found"
    r"|recipient not found|recipient unknown|unknown recipient|unrecognized recipient|recipient verify failed"
    r"|invalid mailbox|unknown local part|no mailbox here|address unknown|unknown or illegal alias"
    r"|not our (?:customer|user)|utilisateur inconnu|adresse[^.]{0,40}destinataire[^.]{0,20}invalide"
    r"|recip(?:ient)?notfound"
    r"|remote server returned unknown recipient|no longer on server"
)
_BLOCK_LISTS = (
    r"spamhaus|\b[sxp]bl\b|\bdbl\b|\bzen\.|\bcss\b|barracuda(?:central)?(?: reputation)|barracudacentral|spamcop|sorbs"
    r"|cloudmark|\bcsi\.|invaluement|ivmsip|hostkarma|abusix|uceprotect|senderscore|\b(?:dns)?rbl\b|dnsbls?|rbl\+"
    r"|block ?-?list|black ?-?list|banned sending ip|\[bl\d\d\]|\[tss\d\d\].{0,80}permanent|\((?:bl|dial)\)"
    r"|\bs31[45]0\b"
    r"|\b(?:sc|ou|dy)-00\d|\brtr:|\bcon:|\bhl:|aup#|mxin506|ofr_?\w*_10[23]|lpn\w*_(?:101|102|510)|\[hme1\]"
    r"|\[ph\d\d\]|\[cs01\]"
)
_SENDER = (
    r"reputation|your ip|sending ip|source ip|ip source|client host|\bptr\b|reverse dns|\bhelo\b|\bdmarc\b"
    r"|\bspf\b|\bdkim\b"
    r"|authentication (?:checks|level)|unauthenticated|anti-spoofing|sender[^.]{0,40}(?:rejected|denied"
    r"|does not exist|not owned)"
    r"|domain of sender|envelope sender|mail ?from[^.]{0,30}(?:refused|rejected|listed)|tls required|polic(?:y|ies)"
    r"|geographical|dynamic ip|transient ip|dialup|access denied, banned|not accepting connections|from your ip"
    r"|rejected by destination domain|:blocked\)|blocked - see|service not available|weren't sent"
)

#: Matched in this order; the first that fits decides. Each is searched in the lower-case text.
TABLE: tuple[tuple[BounceCause, re.Pattern[str]], ...] = tuple(
    (cause, re.compile(pattern))
    for cause, pattern in (
        (BounceCause.AUTO_REPLY, r"out of (?:the )?office|auto-?reply|automatic reply|\bvacation\b|abwesen"
            r"|absence du bureau"),
        (
            BounceCause.POLICY,
            r"^.{0,12}53[0458]\b(?!.*authrequired)|username and password|sending limit exceeded|address is not verified"
            r"|maximum sending rate|rate limited because.{0,160}(?:spf|dkim|dmarc|unauthenticated|align|ptr|tls)",
        ),
        (BounceCause.TEMPORARY, r"gr[ea]y-?list"),
        (
            BounceCause.RATE_LIMITED,
            r"email too quickly|mail too quickly|at a rate that prevents|too many (?:connections|messages|recipients)"
            r"|rate limit|throttl|slow down|frequency limited|excessive volume|unexpected volume"
            r"|maximum number of connections"
            r"|unusual rate|per hour message receive limit|new or untrusted ip|server busy"
            r"|deferred due to .{0,40}volume",
        ),
        # Both at once: not even that server knows.
        (BounceCause.UNKNOWN, rf"may not exist.{{0,80}}(?:{_BLOCK_LISTS}|blacklisted)"),
        (BounceCause.CONTENT, r"ube, id=|mcspamsignature|potential security issue|likely unsolicited"),
        (BounceCause.NOT_WANTED, r"has a policy that prohibits|recipient preferences|rejected by this user"
            r"|blocked by recipient"),
        (BounceCause.POLICY, _BLOCK_LISTS),
        (BounceCause.INACTIVE, r"inactive email address"),
        # Only where nothing speaks of the sender, too.
        (BounceCause.NO_MAILBOX, rf"^(?!.*(?:{_SENDER})).*(?:{_MAILBOX})"),
        (BounceCause.POLICY, _SENDER),
        (
            BounceCause.CONTENT,
            r"message size|size limit.{0,20}message|too large|too big|header.{0,20}size|attachment|virus"
            r"|malware|infected"
            r"|content (?:rejected|denied|restrictions)|spam content|spam message rejected|suspicion of spam"
            r"|detected as spam"
            r"|flagged as spam|due to spam|dt:spm|uribl|rfc 5322 compliant|duplicate header|bare line feeds"
            r"|multiple addresses in from",
        ),
        (BounceCause.TEMPORARY, r"mail loop|too many hops|\bhops\b|message expired|queue\.expired|temporar(?:y"
            r"|ily) locked"),
        (
            BounceCause.MAILBOX_FULL,
            r"over ?quota|quota exceeded|mailbox (?:is )?full|inbox (?:is|was) (?:full|out of)|mailbox .{0,20}limit"
            r"|out of storage|storage allocation|destinataire pleine|space has been used up|extended quota",
        ),
        (
            BounceCause.INACTIVE,
            r"(?:is|account|mailbox) (?:been )?disabled|disabled recipient|discontinued|\binactive\b"
            r"|deactivated|suspended"
            r"|\bfrozen\b|terminated|no longer (?:valid|accepts mail)|not activated|account closed|is closed"
            r"|archived recipient|destinataire archivee|compte.{0,40}bloque|account is blocked"
            r"|blocked due to inactivity"
            r"|account expired|expired account",
        ),
        (BounceCause.NULL_MX, r"null mx"),
        (BounceCause.RELAY_DENIED, r"relay(?:ing)? (?:access )?denied|unable to relay|(?:not permitted"
            r"|configured) to relay"
         r"|relay not permitted|rcpthosts|we do not relay|tenantattribution"),
        (
            BounceCause.NO_DOMAIN,
            r"domain not found|recipient domain|host unknown|no such domain|nxdomain|unrouteable"
            r"|unable to route|mx lookup"
            r"|invalid domain|failed to resolve|domain \S+ does not exist|dns domain",
        ),
        (
            BounceCause.NOT_WANTED,
            r"\brestricted\b|allowed-senders|authrequired|only accepts|sender not authenticated for group",
        ),
    )
)  # fmt: skip

#: Texts that may be about the mailbox: the code decides.
WEAK = re.compile(
    r"mailbox unavailable|recipient address rejected|address rejected|invalid recipient|recipient rejected"
    r"|access denied"
)

#: What an enhanced code says by itself: class 5, subject and detail.
CODES: dict[tuple[int, int], BounceCause] = {
    (1, 1): BounceCause.NO_MAILBOX,
    (1, 3): BounceCause.NO_MAILBOX,
    (1, 6): BounceCause.NO_MAILBOX,
    (1, 2): BounceCause.NO_DOMAIN,
    (1, 7): BounceCause.POLICY,
    (1, 8): BounceCause.POLICY,
    (1, 10): BounceCause.NULL_MX,
    (2, 2): BounceCause.MAILBOX_FULL,
    (2, 3): BounceCause.CONTENT,
    (2, 121): BounceCause.RATE_LIMITED,
    (2, 122): BounceCause.RATE_LIMITED,
    (3, 4): BounceCause.CONTENT,
    (4, 4): BounceCause.NO_DOMAIN,
    (4, 310): BounceCause.NO_DOMAIN,
    (7, 13): BounceCause.INACTIVE,
    (7, 17): BounceCause.NO_MAILBOX,
    (7, 18): BounceCause.NO_DOMAIN,
}


def cause_of(text: str) -> BounceCause:
    """What the text of a mail server says. The text is untrusted and may be of any length."""
    lowered = " ".join(text[:MAX_LENGTH].replace("\x00", " ").lower().split())
    if not lowered or CANNED.match(lowered):
        return BounceCause.EMPTY
    reply = _innermost(lowered)
    is_temporary = _is_temporary(reply)
    words = IP.sub(" ", ADDRESS.sub(" ", URL.sub(" ", reply)))
    cause = _by_words(words) or _by_codes(words)
    if cause in ABOUT_THE_MAILBOX and is_temporary:
        return BounceCause.TEMPORARY
    return cause


def _innermost(text: str) -> str:
    """The last reply that is quoted in another one; all of it without one."""
    last = NESTED.split(text)[-1].strip()
    return last if BASIC_CODE.match(last) else text


def _is_temporary(reply: str) -> bool:
    """Whether the reply itself says so: the basic code decides before the enhanced one."""
    if basic := BASIC_CODE.search(reply):
        return basic[1] == "4"
    enhanced = ENHANCED_CODE.search(reply)
    return enhanced is not None and enhanced[1] == "4"


def _by_words(words: str) -> BounceCause | None:
    return next((cause for cause, pattern in TABLE if pattern.search(words)), None)


def _by_codes(words: str) -> BounceCause:
    code = ENHANCED_CODE.search(words)
    subject, detail = (int(code[2]), int(code[3])) if code else (-1, -1)
    if WEAK.search(words):
        return _by_weak_words(words, subject, detail, has_code=code is not None)
    if code is None:
        return BounceCause.UNKNOWN
    if code[1] == "4":
        return BounceCause.TEMPORARY
    return CODES.get((subject, detail), BounceCause.POLICY if subject == 7 else BounceCause.UNKNOWN)


def _by_weak_words(words: str, subject: int, detail: int, *, has_code: bool) -> BounceCause:
    if subject == 7:
        return BounceCause.POLICY
    if not has_code:
        is_plain = (
            "mailbox unavailable" in words or "invalid recipient" in words or "recipient address rejected" in words
        )
        return BounceCause.NO_MAILBOX if is_plain else BounceCause.UNKNOWN
    if subject == 4 and "recipient address rejected" not in words:
        return BounceCause.POLICY
    is_mailbox = subject == 1 or (subject, detail) in {(4, 1), (5, 0), (2, 0)}
    return BounceCause.NO_MAILBOX if is_mailbox else BounceCause.UNKNOWN
