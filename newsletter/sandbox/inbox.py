"""Pages that show the accepted mails, and buttons that trigger events for them.

The content of a mail is not trusted: every value is escaped, and its HTML is shown in a frame that cannot run scripts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

from newsletter.sandbox import fragments
from newsletter.sandbox.exchange import HTML, Request, Response, find_handler, route
from newsletter.sandbox.ledger import LedgerMail
from newsletter.sandbox.outcomes import (
    PERMANENT_BOUNCE,
    TRANSIENT_BOUNCE,
    PlannedEvent,
    click_detail,
    pick_link,
)
from newsletter.sandbox.pages import Html, asset, fill
from newsletter.sandbox.paging import Page
from newsletter.sandbox.refusals import Refusal, refusal
from newsletter.sandbox.team import Team

PAGE_SIZE = 50

_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# Mails have inline styles and pictures of any origin; links open in a tab outside of the frame.
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data: http: https:; font-src data: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_ASSETS = {"/style.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml"}
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)


class Inbox:
    """`/`, `/mails/…` and their assets."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._routes = (
            route("GET", "/", self._list),
            route("GET", "/mails/{}", self._show),
            route("GET", "/mails/{}/html", self._show_html),
            route("POST", "/mails/{}/events", self._trigger),
            *(route("GET", path, self._asset) for path in _ASSETS),
        )

    def has(self, request: Request) -> bool:
        """Whether a path belongs to the inbox."""
        return request.path == "/" or request.path in _ASSETS or request.path.startswith("/mails/")

    def answer(self, request: Request) -> Response:
        """The page, or an error page."""
        try:
            handler, parts = find_handler(self._routes, request.method, request.path)
            return handler(request, *parts)
        except Refusal as error:
            heading = "Not found" if error.status == 404 else "Invalid request"
            return _page(heading, fill("message.html", heading=heading, sentence=error.message), error.status)

    def _asset(self, request: Request) -> Response:
        headers = {"cache-control": "max-age=300"}
        return Response(200, asset(request.path.strip("/")), _ASSETS[request.path], headers)

    # The list

    def _list(self, request: Request) -> Response:
        team, search = self._team, request.query.get("q", "").strip()
        mails, more = team.ledger.page(self._page(request), team.clock(), search)
        counts, webhooks = team.ledger.counts(), team.events.counts()
        content = fill(
            "inbox.html",
            heading=f"Mails to “{search}”" if search else "Inbox",
            messages=f"{counts['messages']:,}",
            addresses=f"{counts['distinct_recipients']:,}",
            delivered=f"{webhooks['delivered']:,}",
            pending=f"{webhooks['pending']:,}",
            failed=f"{webhooks['failed']:,}",
            receiver=fragments.receiver_sentence(team.options.webhook_url),
            search=search,
            mails=fragments.mail_list(mails, search),
            pages=fragments.page_links(request.query, mails, search, more=more),
        )
        return _page(f"Mails to “{search}”" if search else "Sandbox inbox", content)

    def _page(self, request: Request) -> Page:
        number_of = self._team.ledger.number_of
        after, before = request.query.get("after"), request.query.get("before")
        if after:
            return Page(PAGE_SIZE, after=number_of(after))
        return Page(PAGE_SIZE, before=number_of(before) if before else None)

    # One mail

    def _show(self, request: Request, uid: str) -> Response:
        mail = self._mail(uid)
        contents = self._team.ledger.contents(mail)
        html = contents.get("html") or ""
        part = request.query.get("part", "html" if html else "text")
        content = fill(
            "mail.html",
            id=mail.id,
            subject=mail.envelope["subject"],
            to=", ".join(mail.envelope["to"]),
            sender=mail.envelope["from"],
            **fragments.state_of(mail),
            **fragments.time_fields(mail.created_at),
            parts=fragments.part_links(mail.id, part),
            part=fragments.shown_part(mail, contents, part),
            events=fragments.event_list(self._team.events.of_mail(mail.number, self._team.clock())),
            click_disabled=Html("") if pick_link(html, mail.address) else Html(" disabled"),
        )
        return _page(mail.envelope["subject"], content)

    def _show_html(self, _request: Request, uid: str) -> Response:
        html = self._team.ledger.contents(self._mail(uid)).get("html") or ""
        headers = {"content-security-policy": _MAIL_POLICY, **_NO_STORE}
        return Response(200, links_in_new_tab(html).encode(), HTML, headers)

    def _trigger(self, request: Request, uid: str) -> Response:
        mail = self._mail(uid)
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        make_event = _BUTTONS.get(form.get("event", ""))
        if make_event is None:
            raise refusal("validation_error", "Unknown event.")
        html = self._team.ledger.contents(mail).get("html") or ""
        self._team.trigger(mail, make_event(pick_link(html, mail.address)))
        # The id comes from the ledger and not from the request.
        return Response(303, headers={"location": f"/mails/{mail.id}", **_NO_STORE})

    def _mail(self, uid: str) -> LedgerMail:
        mail = self._team.ledger.mail(uid, self._team.clock())
        if mail is None:
            raise refusal("not_found", "No mail has this id. A ledger in memory is lost when the sandbox restarts.")
        return mail


_NO_STORE = {"cache-control": "no-store", "referrer-policy": "no-referrer", "x-content-type-options": "nosniff"}


def _clicked(link: str | None) -> PlannedEvent:
    if link is None:
        raise refusal("validation_error", "This mail has no link that a recipient would click.")
    return PlannedEvent("email.clicked", 0.0, click_detail(link))


#: The event of each button, given the link that the recipient would click.
_BUTTONS: dict[str, Callable[[str | None], PlannedEvent]] = {
    "opened": lambda _link: PlannedEvent("email.opened", 0.0),
    "clicked": _clicked,
    "bounced": lambda _link: PlannedEvent("email.bounced", 0.0, PERMANENT_BOUNCE),
    "deferred": lambda _link: PlannedEvent("email.bounced", 0.0, TRANSIENT_BOUNCE),
    "complained": lambda _link: PlannedEvent("email.complained", 0.0),
}


def links_in_new_tab(html: str) -> str:
    """The HTML with links that open in a new tab, because most sites cannot be shown in a frame."""
    place = _HEAD.search(html) or _DOCTYPE.match(html)
    end = place.end() if place else 0
    return f'{html[:end]}<base target="_blank">{html[end:]}'


def _page(title: str, content: Html, status: int = 200) -> Response:
    page = fill("base.html", title=title, content=content)
    headers = {"content-security-policy": _PAGE_POLICY, "x-frame-options": "DENY", **_NO_STORE}
    return Response(status, page.encode("utf-8", "replace"), HTML, headers)
