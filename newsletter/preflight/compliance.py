"""Checks of what the law and mailbox providers ask of every mail: who sends it, from where, and the way out. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.preflight.findings import Finding, Inspection, Rendered, must_fix
from newsletter.preflight.mail_page import Element, Look, MailPage, mail_page, words_of
from newsletter.preflight.places import HTML_PART, NEWSLETTER, TEXT_PART
from newsletter.rendering import PlaceholderContext, placeholder_token
from newsletter.rendering.palette import contrast

FAMILY = "compliance"
WAY_OUT = "unsubscribe_url"
#: Below this contrast words are as good as the colour of their ground, and below this size they are dots.
SEEN_FROM_CONTRAST, SEEN_FROM_PIXELS = 1.5, 6


def check_compliance(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: no sender, no postal address, a part without it or without a way out that shows (R-14)."""
    sender = inspection.sender
    if not sender.name.strip():
        yield must_fix(FAMILY, NEWSLETTER, "The newsletter has no sender name. Enter the name that readers know it by.")
    if not sender.email.strip():
        yield must_fix(FAMILY, NEWSLETTER, "The newsletter has no sender address. Enter one on your verified domain.")
    if not sender.postal_address.strip():
        yield must_fix(
            FAMILY,
            NEWSLETTER,
            "The newsletter has no postal address. The law asks for one in every mail: enter yours.",
        )
    if inspection.rendered:
        yield from _check_html(inspection.rendered, sender.postal_address)
        yield from _check_text(inspection.rendered, sender.postal_address)


def _check_html(rendered: Rendered, postal_address: str) -> Iterator[Finding]:
    page = mail_page(rendered.html)
    token = placeholder_token(rendered.nonce, WAY_OUT, PlaceholderContext.HTML)
    ways = [link for link in page.root.iter("a") if token in (link.get("href") or "")]
    if not ways:
        yield must_fix(FAMILY, HTML_PART, "The HTML part has no unsubscribe link. Put it back into the template.")
    elif not any(_shows(page, link) for link in ways) or _is_gone_at_times(page, ways):
        yield must_fix(
            FAMILY,
            HTML_PART,
            "The unsubscribe link of the HTML part cannot be seen, at least on some screens: it is hidden, without "
            "words, tiny, or of the colour of its ground, by day or by night. Readers who do not find it report the "
            "mail as spam: show it in the template.",
        )
    if missing := _missing_line(postal_address, _seen_words(page)):
        yield must_fix(
            FAMILY,
            HTML_PART,
            f"The HTML part does not show the postal address (“{missing}”). The law asks for it: put it back into the "
            "template.",
        )


def _check_text(rendered: Rendered, postal_address: str) -> Iterator[Finding]:
    if placeholder_token(rendered.nonce, WAY_OUT, PlaceholderContext.PLAIN) not in rendered.text:
        yield must_fix(FAMILY, TEXT_PART, "The text part has no unsubscribe link. Put it back into the template.")
    if missing := _missing_line(postal_address, " ".join(rendered.text.split())):
        yield must_fix(
            FAMILY,
            TEXT_PART,
            f"The text part does not have the postal address (“{missing}”). The law asks for it: put it back into the "
            "template.",
        )


def _shows(page: MailPage, link: Element) -> bool:
    return bool(words_of(link)) and _is_seen(page.looks[link])


def _is_gone_at_times(page: MailPage, ways: list[Element]) -> bool:
    """Whether some screens hide the only way out. Of several, each may be meant for other screens."""
    return len(ways) == 1 and page.looks[ways[0]].is_hidden_somewhere


def _is_seen(look: Look) -> bool:
    is_large_enough = look.pixels >= SEEN_FROM_PIXELS
    is_told_apart = min(contrast(*look.light), contrast(*look.dark)) >= SEEN_FROM_CONTRAST
    return not look.is_hidden and is_large_enough and is_told_apart


def _seen_words(page: MailPage) -> str:
    """Everything that shows, in one line."""
    texts: list[str] = []
    for element, look in page.looks.items():
        # Text behind an element belongs to what that stands in, which may be hidden where the element is not.
        if element.text and _is_seen(look):
            texts.append(element.text)
        if element.tail and (above := element.getparent()) is not None and _is_seen(page.looks[above]):
            texts.append(element.tail)
    return " ".join(" ".join(texts).split())


def _missing_line(postal_address: str, words: str) -> str:
    """The first line of the address that is not among the words; empty if all are, or there is none to look for."""
    lines = (" ".join(line.split()) for line in postal_address.splitlines())
    return next((line for line in lines if line and line not in words), "")


def passed_compliance(inspection: Inspection) -> str:
    """What to say where nothing was found."""
    if inspection.rendered is None:
        return ""
    return "Sender, postal address and a visible unsubscribe link are in both parts, as the law wants them"
