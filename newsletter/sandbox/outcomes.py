"""The events of an accepted mail, which depend on its address. Pure.

Test addresses: resend.com/docs/dashboard/emails/send-test-emails. Mails to other addresses are delivered, unless the
address belongs to one of the shares of the options.
"""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import dataclass, field

from newsletter.sandbox.options import SandboxOptions

Json = dict[str, object]

#: Seconds after the mail was accepted, multiplied by `webhook_time_scale`.
DELIVERED_AFTER = 1.0
BOUNCED_AFTER = 2.0
OPENED_AFTER = 20.0
CLICKED_AFTER = 30.0
COMPLAINED_AFTER = 60.0

#: Not sent by Resend. Receivers must accept types that they do not know.
UNKNOWN_TYPE = "email.unknown"

PERMANENT_BOUNCE: Json = {
    "bounce": {
        "type": "Permanent",
        "subType": "General",
        "message": "The recipient's email provider sent a hard bounce message.",
        "diagnosticCode": ["smtp; 550 5.1.1 user unknown"],
    }
}
TRANSIENT_BOUNCE: Json = {
    "bounce": {
        "type": "Transient",
        "subType": "MailboxFull",
        "message": "The recipient's inbox was full.",
        "diagnosticCode": ["smtp; 452 4.2.2 mailbox full"],
    }
}
_SUPPRESSED_REASONS = {"bounce": "previous_bounce", "complaint": "previous_complaint"}

_LINK = re.compile(
    r"""<a\b(?![^>]*\baria-hidden="true")[^>]*?\bhref\s*=\s*(["'])(https?://.*?)\1[^>]*>(.*?)</a>""",
    re.IGNORECASE | re.DOTALL,
)
_UNSUBSCRIBE = re.compile(r"unsubscri|preferences|opt.?out", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """A future event: its type, seconds after acceptance (unscaled), and the payload that depends on the type."""

    type: str
    after: float
    detail: Json = field(default_factory=dict)

    @property
    def origin(self) -> str | None:
        """Why the address is suppressed; None if it is not, as after a transient bounce."""
        if self.type == "email.complained":
            return "complaint"
        bounce = self.detail.get("bounce")
        return "bounce" if isinstance(bounce, dict) and bounce.get("type") == "Permanent" else None


def plan_events(address: str, contents: str, suppressed: str | None, options: SandboxOptions) -> list[PlannedEvent]:
    """The events of a mail to `address` (bare, in lower case), in order.

    `contents` is its HTML, from which a link is clicked; `suppressed` is the origin of a suppression, if there is one.
    """
    outcome = "suppressed" if suppressed else _outcome(address, options)
    if outcome == "suppressed":
        return [PlannedEvent("email.suppressed", 0.0, _suppressed_detail(suppressed))]
    sent = PlannedEvent("email.sent", 0.0)
    if outcome == "bounced":
        return [sent, PlannedEvent("email.bounced", BOUNCED_AFTER, PERMANENT_BOUNCE)]
    delivered = PlannedEvent("email.delivered", DELIVERED_AFTER)
    if outcome == "complained":
        return [sent, delivered, PlannedEvent("email.complained", COMPLAINED_AFTER)]
    return [sent, delivered, *_engagement(address, contents, options)]


def _outcome(address: str, options: SandboxOptions) -> str:
    local, _at, domain = address.rpartition("@")
    name = local.partition("+")[0]
    if domain == "resend.dev" and name in {"delivered", "bounced", "complained", "suppressed"}:
        return name
    if is_in_share(address, "bounce", options.bounce_share):
        return "bounced"
    return "complained" if is_in_share(address, "complaint", options.complaint_share) else "delivered"


def _engagement(address: str, contents: str, options: SandboxOptions) -> list[PlannedEvent]:
    """Opens and clicks. Both shares use the same hash, so every address that clicks also opens."""
    clicks = is_in_share(address, "reading", options.click_share)
    if not clicks and not is_in_share(address, "reading", options.open_share):
        return []
    opened = PlannedEvent("email.opened", OPENED_AFTER)
    link = pick_link(contents, address) if clicks else None
    return [opened, PlannedEvent("email.clicked", CLICKED_AFTER, click_detail(link))] if link else [opened]


def is_in_share(address: str, purpose: str, share: float) -> bool:
    """Whether an address belongs to a share: the same in every run, and independent between purposes."""
    sha256 = hashlib.sha256(f"{purpose}:{address}".encode()).digest()
    return int.from_bytes(sha256[:8], "big") < share * 2**64


def links_of(contents: str) -> list[str]:
    """The http(s) links of a mail that humans see, without those that unsubscribe or change preferences."""
    return [
        html.unescape(link)
        for _quote, link, label in _LINK.findall(contents)
        if not _UNSUBSCRIBE.search(link) and not _UNSUBSCRIBE.search(label)
    ]


def pick_link(contents: str, address: str) -> str | None:
    """The link that this recipient clicks, the same in every run; None if there is none."""
    links = links_of(contents)
    sha256 = hashlib.sha256(f"link:{address}".encode()).digest()
    return links[int.from_bytes(sha256[:4], "big") % len(links)] if links else None


def click_detail(link: str) -> Json:
    """The detail of a click; its `timestamp` is set when the payload is built."""
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    return {"click": {"ipAddress": "192.0.2.1", "link": link, "userAgent": agent}}


def _suppressed_detail(origin: str | None) -> Json:
    return {
        "suppressed": {
            "type": "OnAccountSuppressionList",
            "message": "The email was not sent because the recipient is on the suppression list.",
            "reason": _SUPPRESSED_REASONS.get(origin or "", "previous_bounce"),
            "diagnosticCode": [],
        }
    }
