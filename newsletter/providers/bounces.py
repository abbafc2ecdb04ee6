"""What a bounce means: one class from a mail server's reply, the provider's type and its subtype. Pure.

Text is read before codes, because large providers give codes other meanings: an unknown mailbox is `550 5.7.1` at
Yandex and `550 5.4.1` at Microsoft, and reputation is `550 5.1.0` at others. Codes are read before the provider's type,
which is a guess (Amazon's). A text about the sender comes before one about the mailbox: such a reply is sent to every
recipient of a mailbox provider, and must not suppress all of them.

Codes: RFC 5321, RFC 3463, RFC 7505 (null MX), RFC 7372 (authentication), RFC 7293 (5.7.17, 5.7.18).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from newsletter.providers import bounce_words as words_of
from newsletter.providers.bounce_classes import BounceClass

#: Of a reply, this many characters are read.
MAX_LENGTH = 4096

#: The provider's own sentences in place of a reply: words in them mean nothing.
CANNED = re.compile(r"the recipient'?s? (?:email provider|mail server) sent an?\b|the email bounced\b")

# --- Reading the reply ----------------------------------------------------------------------------------------------

PREFIX = re.compile(r"^(?:smtp|x-\w{1,20}) ?; ?")
#: A repeated code at the start of a further line of a reply.
LINE_CODE = re.compile(r"^\s{0,9}[245]\d\d(?:[- ]|$)(?:[245]\.\d{1,3}\.\d{1,3}(?![\d.]) ?)?")
#: The same in a reply whose lines were joined.
JOINED_CODE = re.compile(r" [245]\d\d-(?!')(?:[245]\.\d{1,3}\.\d{1,3}(?![\d.]) ?)?")

URL = re.compile(r"\bhttps?://\S*")
ADDRESS = re.compile(r"[^\s<>\"'(:;,=@]{1,64}@[^\s<>\"':)\],;@]{1,255}")
#: A host name. The names of Microsoft's errors (`resolver.adr.…`) have no top-level domain at their end.
HOST = re.compile(
    r"(?<![\w.-])[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9-]{1,63}){0,6}\.(?:com|net|org|edu|gov|info|biz|eu|io|example|test"
    r"|invalid|local|[a-z]{2})(?![\w-]|\.\w)"
)
IP = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w])|(?<![\w:])[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}(?![\w:])")
#: A size that a server adds to any reply.
SIZE = re.compile(r"(?:original |total )?message size:? ?(?:is |was )?\d{1,12} ?(?:[km]?b|bytes|octets)?\b")

#: An earlier reply that is only mentioned.
FOOTNOTE = re.compile(
    r"(?:earlier|previous|prior|first) (?:attempt|try|reply|response|error)s?\b|\bresponse: ?(?=4\d\d )"
)
#: Where a quoted reply begins; the last one counts.
NESTED = re.compile(
    r"-> ?|<(?=[245]\d\d[ -])|\bsaid: ?|other mail system problem |remote server (?:returned|responded):? ?['\"]?"
    r"(?=[245]\d\d[ -])|smtp error from remote [^:]{0,120}: ?(?:[^:]{0,80}: ?)?(?=[245]\d\d[ -])"
)

CODE = re.compile(r"^\W{0,2}([245])(\d\d)(?=[\s\-:;,]|$)")
ENHANCED = r"([245])\.(\d{1,3})\.(\d{1,3})(?!\d|\.\d)"
AFTER_CODE = re.compile(rf"^\W{{0,2}}[245]\d\d[\s\-:;,]{{1,3}}[(\[]?#?{ENHANCED}")
AT_START = re.compile(rf"^\W{{0,2}}{ENHANCED}")
MARKED = re.compile(rf"\(#{ENHANCED}\)|\bstatus[:=] ?{ENHANCED}")
AUTHENTICATION_CODES = ("30", "34", "35", "38")

#: A word with a digit, such as the id of a mail. What a reply has without them is its gist, up to so many characters.
WITH_DIGIT = re.compile(r"\S*\d\S*")
MAX_GIST = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as it is judged."""

    words: str
    """In lower case, on one line, without URLs, addresses, host names and IP addresses."""
    has_linked_list: bool = False
    """Whether a link or host name in it is of a block list."""
    is_microsoft: bool = False
    is_overquota_permanent: bool = False
    basic: str = ""
    """The last two digits of the basic code."""
    enhanced: tuple[int, int] | None = None
    """Subject and detail of the enhanced code."""
    is_temporary: bool | None = None
    """Whether the code says so, the basic one before the enhanced one; None without a code."""

    def has(self, pattern: re.Pattern[str]) -> bool:
        return pattern.search(self.words) is not None

    @property
    def is_about_sender(self) -> bool:
        return self.has_linked_list or self.has(words_of.SENDER)

    @property
    def is_about_mailbox(self) -> bool:
        return self.has(words_of.MAILBOX) and not self.has(words_of.MAILBOX_OF_SENDER)

    @property
    def subject(self) -> int | None:
        return self.enhanced[0] if self.enhanced else None


def read_reply(text: str) -> Reply | None:
    """A reply ready to be judged; None if the text is empty or no reply of a mail server."""
    full = _joined(text)
    if not full or CANNED.match(full):
        return None
    quoted = _innermost(_without_footnotes(ADDRESS.sub(" ", full)))
    reply = _blank(quoted)
    code = CODE.match(reply)
    enhanced = AFTER_CODE.match(reply) or AT_START.match(reply) or MARKED.search(reply)
    parts = [part for part in enhanced.groups() if part] if enhanced else []
    kind = code[1] if code else parts[0] if parts else ""
    return Reply(
        words=reply,
        has_linked_list=any(
            words_of.LINKED_LISTS.search(name) for name in (*URL.findall(quoted), *HOST.findall(quoted))
        ),
        is_microsoft="outlook.com" in full or "office365" in full,
        is_overquota_permanent="overquotaperm" in full,
        basic=code[2] if code else "",
        enhanced=(int(parts[1]), int(parts[2])) if parts else None,
        is_temporary=kind == "4" if kind else None,
    )


def gist_of(text: str) -> str:
    """What replies that say the same have in common: codes and words, without what differs from mail to mail.

    Empty if the text is no reply of a mail server.
    """
    reply = read_reply(text)
    if reply is None:
        return ""
    words = (word.strip(".,;:()[]<>\"'") for word in WITH_DIGIT.sub(" ", reply.words).split())
    codes = [reply.basic, *map(str, reply.enhanced or ())]
    return " ".join([".".join(codes), *(word for word in words if word)])[:MAX_GIST]


def _joined(text: str) -> str:
    """The lines of a reply as one, in lower case, without the codes that each line repeats."""
    lines = [" ".join(line.split()) for line in text[:MAX_LENGTH].replace("\x00", " ").lower().splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        return ""
    first = PREFIX.sub("", lines[0])
    code = first[:3]
    rest = [LINE_CODE.sub("", line) if line.startswith(code) else line for line in lines[1:]]
    return JOINED_CODE.sub(" ", " ".join((first, *rest))).strip()


def _blank(text: str) -> str:
    for pattern in (URL, HOST, IP, SIZE):
        text = pattern.sub(" ", text)
    return " ".join(text.split())


def _without_footnotes(text: str) -> str:
    """Without replies to earlier attempts: what follows the mention up to the next code, or all of it at the end."""
    match = FOOTNOTE.search(text)
    if match is None:
        return text
    before, after = text[: match.start()].strip(), text[match.end() :]
    if CODE.match(before):
        return before
    codes = [found.start() for found in re.finditer(r"(?<!\S)[245]\d\d[ -]", after)]
    return after[codes[-1] :] if codes else text


def _innermost(text: str) -> str:
    """The last reply that is quoted in another one; all of it without one."""
    last = NESTED.split(text)[-1].strip(" '\"")
    return last if CODE.match(last) else text


# --- The table ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """If `applies`, the reply is of this class."""

    applies: Callable[[Reply], bool]
    then: BounceClass
    if_temporary: BounceClass | None = None
    """The class instead, where the code says that the reply is temporary."""


def _says(pattern: re.Pattern[str]) -> Callable[[Reply], bool]:
    return lambda reply: reply.has(pattern)


def _is_about_account(reply: Reply) -> bool:
    is_code = reply.basic in AUTHENTICATION_CODES and reply.is_temporary is False
    return reply.has(words_of.ACCOUNT) or (is_code and not reply.has(words_of.NOT_WANTED))


def _is_both(reply: Reply) -> bool:
    """About the sender and about the mailbox: that server does not know, or does not say."""
    is_mailbox = reply.is_about_mailbox or reply.has(words_of.MAY_NOT_EXIST)
    return is_mailbox and reply.is_about_sender


#: The first row that applies decides.
TABLE: tuple[Row, ...] = (
    Row(lambda reply: "suppressed sending to this address" in reply.words, BounceClass.SUPPRESSED),
    Row(_says(words_of.AUTO_REPLY), BounceClass.AUTO_REPLY),
    Row(_is_about_account, BounceClass.POLICY),
    # Before words about the mail: servers add the size of the mail, and other facts, to any reply.
    Row(
        lambda reply: reply.subject == 1 and reply.is_about_mailbox and not reply.is_about_sender
        and not reply.has(words_of.RATE),
        BounceClass.NO_MAILBOX,
        BounceClass.TEMPORARY,
    ),
    Row(_says(words_of.LIMITED_BECAUSE), BounceClass.POLICY),
    Row(_says(words_of.RATE), BounceClass.RATE_LIMITED),
    Row(_says(words_of.GREYLISTED), BounceClass.GREYLISTED),
    Row(
        lambda reply: bool(reply.is_temporary) and reply.has(words_of.GREY_IF_TEMPORARY), BounceClass.GREYLISTED
    ),
    Row(_is_both, BounceClass.UNKNOWN),
    Row(_says(words_of.CONTENT_FIRST), BounceClass.CONTENT),
    Row(_says(words_of.NOT_WANTED_FIRST), BounceClass.NOT_WANTED),
    Row(lambda reply: reply.is_about_sender, BounceClass.POLICY),
    Row(_says(words_of.LOOP), BounceClass.TEMPORARY),
    Row(_says(words_of.CONTENT), BounceClass.CONTENT),
    Row(
        lambda reply: reply.has(words_of.FULL) and (reply.has(words_of.ABANDONED) or reply.is_overquota_permanent),
        BounceClass.FULL_ABANDONED,
        BounceClass.MAILBOX_FULL,
    ),
    Row(_says(words_of.FULL), BounceClass.MAILBOX_FULL),
    Row(_says(words_of.EXPIRED), BounceClass.TEMPORARY),
    Row(lambda reply: reply.has(words_of.LOCKED) and "locked" in reply.words, BounceClass.TEMPORARY),
    Row(
        lambda reply: reply.has(words_of.INACTIVE) and reply.has(words_of.LOCKED), BounceClass.TEMPORARY
    ),
    Row(_says(words_of.INACTIVE), BounceClass.INACTIVE, BounceClass.TEMPORARY),
    Row(lambda reply: reply.is_about_mailbox, BounceClass.NO_MAILBOX, BounceClass.TEMPORARY),
    Row(_says(words_of.NULL_MX), BounceClass.NULL_MX, BounceClass.TEMPORARY),
    Row(
        lambda reply: reply.has(words_of.DOMAIN) and reply.has(words_of.DOMAIN_FAULT), BounceClass.TEMPORARY
    ),
    Row(_says(words_of.DOMAIN), BounceClass.NO_DOMAIN, BounceClass.TEMPORARY),
    Row(_says(words_of.RELAY), BounceClass.RELAY_DENIED),
    Row(_says(words_of.NOT_WANTED), BounceClass.NOT_WANTED),
)  # fmt: skip

#: What an enhanced code says by itself: subject and detail. Others of class 5 are about policy if their subject is 7,
#: and unknown if not.
CODES: dict[tuple[int, int], BounceClass] = {
    **dict.fromkeys(((1, 1), (1, 3), (1, 6), (7, 17)), BounceClass.NO_MAILBOX),
    **dict.fromkeys(((1, 2), (4, 4), (4, 310), (7, 18)), BounceClass.NO_DOMAIN),
    **dict.fromkeys(((1, 7), (1, 8)), BounceClass.POLICY),
    (1, 10): BounceClass.NULL_MX,
    (2, 2): BounceClass.MAILBOX_FULL,
    **dict.fromkeys(((2, 3), (3, 4)), BounceClass.CONTENT),
    **dict.fromkeys(((2, 121), (2, 122), (7, 28), (7, 500), (7, 650), (7, 651), (7, 652)), BounceClass.RATE_LIMITED),
    **dict.fromkeys(((2, 4), (2, 14), (3, 0), (3, 2), (3, 5), (4, 1), (4, 6), (4, 7), (4, 14)), BounceClass.TEMPORARY),
    **dict.fromkeys(((4, 300), (4, 312), (4, 316)), BounceClass.TEMPORARY),
    (5, 0): BounceClass.UNKNOWN,
    (7, 13): BounceClass.INACTIVE,
}
#: The same beside words that may be about the mailbox.
WEAK_CODES = {
    **dict.fromkeys(((1, 1), (1, 3), (1, 6), (1, 10), (2, 0), (5, 0)), BounceClass.NO_MAILBOX),
    **{code: CODES[code] for code in ((1, 2), (1, 7), (1, 8), (2, 2), (2, 3), (3, 4))},
}
#: The same for all other details of a subject.
SUBJECTS = {5: BounceClass.TEMPORARY, 6: BounceClass.CONTENT, 7: BounceClass.POLICY}
#: What stays the same where the code is temporary. All else is a temporary problem then.
SAME_IF_TEMPORARY = frozenset(
    {BounceClass.MAILBOX_FULL, BounceClass.RATE_LIMITED, BounceClass.POLICY, BounceClass.CONTENT}
)

#: What the provider's subtype says where the text says nothing.
SUBTYPES = {
    "MailboxFull": BounceClass.MAILBOX_FULL,
    "MessageTooLarge": BounceClass.CONTENT,
    "AttachmentRejected": BounceClass.CONTENT,
    "ContentRejected": BounceClass.CONTENT,
}
#: Subtypes of bounces that the provider made itself: the address was on its suppression list, and nothing was sent.
SUPPRESSED_SUBTYPES = frozenset({"Suppressed", "OnAccountSuppressionList", "UnsubscribedRecipient"})
#: Subtypes of permanent bounces without a text that may be about the mailbox.
MAILBOX_SUBTYPES = frozenset({"", "General", "NoEmail"})


def classify(texts: Iterable[str], *, is_permanent: bool | None, subtype: str = "") -> BounceClass:
    """The class of a bounce.

    `texts` are what the provider quotes and says; the longest reply among them counts, and all are untrusted.
    `is_permanent` and `subtype` are what the provider claims; None: it claims nothing.
    """
    if subtype in SUPPRESSED_SUBTYPES:
        return BounceClass.SUPPRESSED
    reply = max(filter(None, map(read_reply, texts)), key=lambda each: len(each.words), default=None)
    if reply is None:
        return _of_silence(is_permanent, subtype)
    found = _by_words(reply, is_permanent) or _by_codes(reply)
    if found is BounceClass.UNKNOWN and subtype in SUBTYPES and not _is_both(reply):
        return SUBTYPES[subtype]
    return found


def _by_words(reply: Reply, is_permanent: bool | None) -> BounceClass | None:
    row = next((row for row in TABLE if row.applies(reply)), None)
    if row is None:
        return None
    # Without any code, the provider's claim is all there is.
    is_temporary = is_permanent is False if reply.is_temporary is None else reply.is_temporary
    return row.if_temporary if is_temporary and row.if_temporary else row.then


def _by_codes(reply: Reply) -> BounceClass:
    if reply.has(words_of.WEAK):
        return _by_weak_words(reply)
    if reply.enhanced is None:
        return BounceClass.TEMPORARY if reply.is_temporary else BounceClass.UNKNOWN
    found = CODES.get(reply.enhanced) or SUBJECTS.get(reply.enhanced[0], BounceClass.UNKNOWN)
    if reply.enhanced == (4, 1) and reply.is_microsoft and not reply.is_temporary:
        found = BounceClass.UNKNOWN
    if reply.is_temporary:
        return found if found in SAME_IF_TEMPORARY else BounceClass.TEMPORARY
    return found


def _by_weak_words(reply: Reply) -> BounceClass:
    if reply.subject == 7:
        return BounceClass.POLICY
    if reply.is_temporary:
        return BounceClass.TEMPORARY
    if reply.enhanced is None:
        is_plain = reply.is_temporary is False and reply.has(words_of.WEAK_WITHOUT_CODE)
        return BounceClass.NO_MAILBOX if is_plain else BounceClass.UNKNOWN
    if reply.enhanced == (4, 1):
        # Microsoft's edge says this of unknown mailboxes; elsewhere, and in other words, it is a rule of the domain.
        is_mailbox = "recipient address rejected" in reply.words
        return BounceClass.NO_MAILBOX if is_mailbox else BounceClass.POLICY
    if reply.enhanced == (1, 0):
        return BounceClass.NO_MAILBOX if reply.has(words_of.WEAK_WITH_OTHER_STATUS) else BounceClass.UNKNOWN
    return WEAK_CODES.get(reply.enhanced, BounceClass.UNKNOWN)


def _of_silence(is_permanent: bool | None, subtype: str) -> BounceClass:
    """Without any text. A permanent bounce of which nothing is said is about the mailbox (low confidence)."""
    if subtype in SUBTYPES:
        return SUBTYPES[subtype]
    if is_permanent and subtype in MAILBOX_SUBTYPES:
        return BounceClass.NO_MAILBOX
    return BounceClass.TEMPORARY if is_permanent is False else BounceClass.UNKNOWN
