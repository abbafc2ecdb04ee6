"""Checks of what laws and mailbox providers require of bulk mail: sender, postal address, unsubscribe link. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.config.translatable import translatable
from newsletter.preflight.findings import Finding, Inspection, Rendered, Sender, error, warning
from newsletter.preflight.mail_page import ComputedStyle, Element, MailPage, mail_page, text_of
from newsletter.preflight.places import HTML_PART, NEWSLETTER, TEXT_PART
from newsletter.rendering import PlaceholderContext, placeholder_token
from newsletter.rendering.palette import contrast

FAMILY = "compliance"
UNSUBSCRIBE_URL = "unsubscribe_url"
#: Text with less contrast to its background, or in a smaller font, counts as invisible.
MIN_VISIBLE_CONTRAST, MIN_VISIBLE_PIXELS = 1.5, 6


def check_compliance(inspection: Inspection) -> Iterator[Finding]:
    """Errors: no sender or postal address, tracking without consent, a part without address or unsubscribe link.

    CAN-SPAM (15 U.S.C. § 7704) asks for the postal address, Gmail's sender guidelines for a clearly visible
    unsubscribe link in the body. Tracking of single recipients needs their consent (CNIL deliberation 2026-042, Garante
    284/2026).
    """
    sender = inspection.sender
    if not sender.name.strip():
        yield error(
            FAMILY,
            "no_sender_name",
            NEWSLETTER,
            translatable("The newsletter has no sender name. Enter the name that subscribers know."),
        )
    if not sender.email.strip():
        yield error(
            FAMILY,
            "no_sender_address",
            NEWSLETTER,
            translatable("The newsletter has no sender address. Enter an address on your verified domain."),
        )
    if not sender.postal_address.strip():
        yield error(
            FAMILY,
            "no_postal_address",
            NEWSLETTER,
            translatable("The newsletter has no postal address. The law requires one in every mail: enter yours."),
        )
    yield from _check_tracking(sender)
    if inspection.rendered:
        yield from _check_html(inspection.rendered, sender.postal_address)
        yield from _check_text(inspection.rendered, sender.postal_address)


def _check_tracking(sender: Sender) -> Iterator[Finding]:
    domain = sender.email.rpartition("@")[2]
    if sender.lets_provider_track:
        if sender.is_tracking_known and not (sender.tracks_opens or sender.tracks_clicks):
            yield warning(
                FAMILY,
                "provider_tracks_nothing",
                NEWSLETTER,
                translatable(
                    "The newsletter takes opens and clicks from the provider, but tracking of {domain} is off there: "
                    "none will be recorded. Turn it on at the provider, or choose another source.",
                    domain=domain,
                ),
            )
        return
    if sender.tracks_opens:
        yield error(
            FAMILY,
            "provider_tracks_opens",
            NEWSLETTER,
            translatable(
                "The provider tracks the opens of all mails from {domain}, and the newsletter has no consent to it. "
                "Turn off open tracking of this domain at the provider. If all subscribers agreed, choose “With "
                "consent” and the provider as the newsletter's source of opens and clicks instead. The worker reads "
                "the provider's setting every ten minutes, manage.py doctor at once.",
                domain=domain,
            ),
        )
    if sender.tracks_clicks:
        yield error(
            FAMILY,
            "provider_tracks_clicks",
            NEWSLETTER,
            translatable(
                "The provider tracks the clicks in all mails from {domain}, and the newsletter has no consent to it. "
                "Every link is rewritten, the unsubscribe link too. Turn off click tracking of this domain at the "
                "provider. If all subscribers agreed, choose “With consent” and the provider as the newsletter's "
                "source of opens and clicks instead. The worker reads the provider's setting every ten minutes, "
                "manage.py doctor at once.",
                domain=domain,
            ),
        )


def _check_html(rendered: Rendered, postal_address: str) -> Iterator[Finding]:
    page = mail_page(rendered.html)
    token = placeholder_token(rendered.nonce, UNSUBSCRIBE_URL, PlaceholderContext.HTML)
    links = [link for link in page.root.iter("a") if token in (link.get("href") or "")]
    if not links:
        yield error(
            FAMILY,
            "no_unsubscribe_link",
            HTML_PART,
            translatable("The HTML part has no unsubscribe link. Add it to the template."),
        )
    elif not any(_is_visible_link(page, link) for link in links) or _is_hidden_on_some_screens(page, links):
        yield error(
            FAMILY,
            "unsubscribe_link_hidden",
            HTML_PART,
            translatable(
                "The unsubscribe link of the HTML part is not visible on every screen: it is hidden, has no text, is "
                "too small, or has the colour of its background in light or dark mode. Recipients who do not find it "
                "report the mail as spam: make it visible in the template."
            ),
        )
    if missing := _missing_line(postal_address, _visible_text(page)):
        yield error(
            FAMILY,
            "postal_address_missing",
            HTML_PART,
            translatable(
                "The HTML part does not show the postal address (“{line}”). The law requires it: add it to the "
                "template.",
                line=missing,
            ),
        )


def _check_text(rendered: Rendered, postal_address: str) -> Iterator[Finding]:
    if placeholder_token(rendered.nonce, UNSUBSCRIBE_URL, PlaceholderContext.PLAIN) not in rendered.text:
        yield error(
            FAMILY,
            "no_unsubscribe_link",
            TEXT_PART,
            translatable("The text part has no unsubscribe link. Add it to the template."),
        )
    if missing := _missing_line(postal_address, " ".join(rendered.text.split())):
        yield error(
            FAMILY,
            "postal_address_missing",
            TEXT_PART,
            translatable(
                "The text part does not contain the postal address (“{line}”). The law requires it: add it to the "
                "template.",
                line=missing,
            ),
        )


def _is_visible_link(page: MailPage, link: Element) -> bool:
    return bool(text_of(link)) and _is_visible(page.styles[link])


def _is_hidden_on_some_screens(page: MailPage, links: list[Element]) -> bool:
    """Whether the only link is hidden on some screens. With several, each may be meant for other screens."""
    return len(links) == 1 and page.styles[links[0]].is_hidden_on_some_screens


def _is_visible(style: ComputedStyle) -> bool:
    has_contrast = min(contrast(*style.light), contrast(*style.dark)) >= MIN_VISIBLE_CONTRAST
    return not style.is_hidden and style.font_size >= MIN_VISIBLE_PIXELS and has_contrast


def _visible_text(page: MailPage) -> str:
    """All visible text, in one line."""
    texts: list[str] = []
    for element, style in page.styles.items():
        # The tail of an element belongs to its parent, which may be hidden when the element is not.
        if element.text and _is_visible(style):
            texts.append(element.text)
        if element.tail and (parent := element.getparent()) is not None and _is_visible(page.styles[parent]):
            texts.append(element.tail)
    return " ".join(" ".join(texts).split())


def _missing_line(postal_address: str, text: str) -> str:
    """The first line of the address that `text` does not contain; empty if it contains all, or there is no address."""
    lines = (" ".join(line.split()) for line in postal_address.splitlines())
    return next((line for line in lines if line and line not in text), "")


def passed_compliance(inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    if inspection.rendered is None:
        return ""
    return translatable("The sender is complete. Both parts have the postal address and a visible unsubscribe link.")
