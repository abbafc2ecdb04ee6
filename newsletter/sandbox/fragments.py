"""Parts of the inbox's pages: rows, links, headers, events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from newsletter.sandbox.ledger import LedgerMail
from newsletter.sandbox.pages import Html, escaped, fill, joined, linked
from newsletter.sandbox.plaintext import text_of
from newsletter.sandbox.time_format import format_time

_PARTS = {"html": "HTML", "text": "Text", "headers": "Headers"}
_STATE_CLASSES = {
    "delivered": "good",
    "opened": "good",
    "clicked": "good",
    "bounced": "bad",
    "complained": "bad",
    "failed": "bad",
    "suppressed": "bad",
    "scheduled": "wait",
    "delivery_delayed": "wait",
}


def receiver_sentence(url: str | None) -> str:
    """Where events are posted."""
    return f"Events are posted to {url}." if url else "Events are not posted, because no webhook URL is set."


def mail_list(mails: list[LedgerMail], search: str) -> Html:
    """The mails of a page, or a message that there are none."""
    if not mails:
        sentence = f"No mails to “{search}”." if search else "No mails yet."
        return Html(f"<p>{escaped(sentence)}</p>")
    rows = [
        fill(
            "mail_row.html",
            id=mail.id,
            subject=mail.envelope["subject"],
            to=", ".join(mail.envelope["to"]),
            **state_of(mail),
            **time_fields(mail.created_at),
        )
        for mail in mails
    ]
    return fill("mails.html", rows=joined(rows))


def page_links(query: Mapping[str, str], mails: list[LedgerMail], search: str, *, more: bool) -> Html:
    """Links to newer and older mails; `more` is about the direction in which the page was read."""
    backward = bool(query.get("before"))
    newer, older = (more, True) if backward else (bool(query.get("after")), more)
    links = []
    if mails and newer:
        links.append(_page_link("before", mails[0].id, search, "Newer mails"))
    if mails and older:
        links.append(_page_link("after", mails[-1].id, search, "Older mails"))
    return joined(links)


def _page_link(direction: str, uid: str, search: str, label: str) -> Html:
    query = urlencode({direction: uid, **({"q": search} if search else {})})
    return fill("link.html", url=f"/?{query}", label=label, current=Html(""))


def part_links(uid: str, current: str) -> Html:
    """Links to the parts of a mail; the current one is marked."""
    links = [
        fill(
            "link.html",
            url=f"/mails/{uid}?part={part}",
            label=label,
            current=Html(' aria-current="page"') if part == current else Html(""),
        )
        for part, label in _PARTS.items()
    ]
    return joined(links)


def shown_part(mail: LedgerMail, contents: dict[str, Any], part: str) -> Html:
    """One part of a mail: `html`, `headers` or `text`."""
    html, text = contents.get("html") or "", contents.get("text")
    if part == "headers":
        return fill("part_headers.html", rows=joined([_header_row(*row) for row in _headers(mail)]))
    if part == "html" and html:
        return fill("part_html.html", id=mail.id, size=f"{len(html.encode()) / 1000:,.1f} KB of HTML")
    if part == "html":
        return Html("<p>This mail has no HTML part.</p>")
    note = "Generated from the HTML, because the mail has no text part." if text is None else ""
    return fill("part_text.html", text=linked(text_of(html) if text is None else text), note=note)


def _headers(mail: LedgerMail) -> list[tuple[str, str]]:
    envelope = mail.envelope
    standard = [
        ("From", envelope["from"]),
        ("To", ", ".join(envelope["to"])),
        ("Cc", ", ".join(envelope["cc"])),
        ("Reply-To", ", ".join(envelope["reply_to"])),
        ("Subject", envelope["subject"]),
        ("Date", format_time(mail.created_at)),
        ("Message-ID", mail.message_id),
    ]
    custom = [(header["name"], header["value"]) for header in envelope["headers"]]
    tags = [(f"Tag {name}", value) for name, value in mail.tags.items()]
    return [row for row in standard if row[1]] + custom + tags


def _header_row(name: str, value: str) -> Html:
    return fill("header_row.html", name=name, value=linked(value))


def event_list(events: list[dict[str, Any]]) -> Html:
    """The events of a mail, oldest first, with the state of their webhooks."""
    if not events:
        return Html("<p>No events yet.</p>")
    items = [
        fill(
            "event.html",
            label=_label(event["type"].removeprefix("email.")),
            detail=_detail(event["detail"]),
            webhook=_webhook(event),
            **time_fields(event["happens_at"]),
        )
        for event in events
    ]
    return Html(f'<ol class="events">\n{joined(items)}\n</ol>')


def _detail(detail: dict[str, Any]) -> Html:
    reason = detail.get("bounce") or detail.get("suppressed") or {}
    sentence = detail["click"].get("link", "") if "click" in detail else reason.get("message", "")
    return Html(f"<span>{escaped(sentence)}</span>") if sentence else Html("")


def _webhook(event: dict[str, Any]) -> str:
    tries, answer = event["tries"], event["last_answer"]
    times = "try" if tries == 1 else "tries"
    return {
        "silent": "Webhook not subscribed",
        "posting": "Webhook is being sent",
        "delivered": f"Webhook delivered after {tries} {times}",
        "failed": f"Webhook failed after {tries} {times}: {answer}",
        "pending": f"Webhook pending after {tries} {times}: {answer}" if tries else "Webhook pending",
    }[event["state"]]


def state_of(mail: LedgerMail) -> dict[str, str]:
    """Style class and label of the last event."""
    return {"state": _STATE_CLASSES.get(mail.last_event, "plain"), "state_label": _label(mail.last_event)}


def _label(event: str) -> str:
    return event.replace("_", " ").capitalize()


def time_fields(at: float) -> dict[str, str]:
    """A time in ISO 8601, and as shown, in the time zone of this machine."""
    local = datetime.fromtimestamp(at).astimezone()
    return {"iso_time": format_time(at), "time": local.strftime("%-d %b %Y, %H:%M:%S %Z")}
