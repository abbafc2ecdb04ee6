"""Ghost's cards, as its editors store them, as plain HTML. Pure.

Both editors name most cards and their fields alike: `bookmark`, `image`, `button`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

from newsletter.content.html_text import one_line
from newsletter.content.markdown import markdown_to_html

PAYWALL = "<!--members-only-->"
MAIL_CARDS = frozenset({"email", "email-cta", "emailCta", "email-card"})
"""Cards that are only in mails."""
SIGNUP_CARDS = frozenset({"signup", "subscribe"})

Card = Mapping[str, Any]


def card_html(kind: str, card: Card) -> str | None:
    """The HTML of a card; None if the kind is not known."""
    write = _CARDS.get(kind)
    return write(card) if write else None


def words_in(value: Any) -> str:
    """All words of a card that is not known, in order."""
    if isinstance(value, str):
        return value
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return " ".join(filter(None, map(words_in, parts)))


def link_html(url: str, words: str) -> str:
    """A paragraph with a link; the words alone without an address."""
    shown = escaped(one_line(words) or url)
    return f'<p><a href="{escaped(url)}">{shown}</a></p>' if url else f"<p>{shown}</p>" if shown else ""


def picture_html(card: Card) -> str:
    """A figure."""
    src = _text(card, "src", "url")
    if not src:
        return ""
    image = f'<img src="{escaped(src)}" alt="{escaped(_text(card, "alt", "altText"))}">'
    href = _text(card, "href")
    image = f'<a href="{escaped(href)}">{image}</a>' if href else image
    caption = _text(card, "caption")
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>" if caption else f"<figure>{image}</figure>"


def escaped(text: str) -> str:
    """Text as HTML."""
    return html.escape(text, quote=True)


def _text(card: Card, *names: str) -> str:
    return next((str(card[name]) for name in names if isinstance(card.get(name), str | int) and card[name]), "")


def _html(card: Card) -> str:
    return _text(card, "html")


def _markdown(card: Card) -> str:
    return markdown_to_html(_text(card, "markdown", "cardMarkdown"), under="section")


def _gallery(card: Card) -> str:
    images = [image for image in card.get("images") or [] if isinstance(image, Mapping)]
    caption = _text(card, "caption")
    return "".join(map(picture_html, images)) + (f"<p>{caption}</p>" if caption else "")


def _bookmark(card: Card) -> str:
    about = card.get("metadata")
    about = about if isinstance(about, Mapping) else {}
    url, title = _text(card, "url") or _text(about, "url"), _text(about, "title") or _text(card, "title")
    texts = [_text(about, "description"), _text(card, "caption")]
    return link_html(url, title) + "".join(f"<p>{text}</p>" for text in texts if text)


def _embed(card: Card) -> str:
    about = card.get("metadata")
    title = _text(about, "title") if isinstance(about, Mapping) else ""
    url, caption = _text(card, "url"), _text(card, "caption")
    body = link_html(url, title) if url else _html(card)
    return body + (f"<p>{caption}</p>" if caption else "")


def _code(card: Card) -> str:
    caption = _text(card, "caption")
    code = f"<pre><code>{escaped(_text(card, 'code'))}</code></pre>"
    return code + (f"<p>{caption}</p>" if caption else "")


def _button(card: Card) -> str:
    return link_html(_text(card, "buttonUrl"), _text(card, "buttonText"))


def _callout(card: Card) -> str:
    words = " ".join(filter(None, [_text(card, "calloutEmoji"), _text(card, "calloutText")]))
    return f"<blockquote>{words}</blockquote>" if words else ""


def _toggle(card: Card) -> str:
    return f"<h4>{_text(card, 'heading')}</h4>{_text(card, 'content')}"


def _file(card: Card) -> str:
    title = _text(card, "fileTitle", "title", "fileName")
    caption = _text(card, "fileCaption", "caption")
    return link_html(_text(card, "src"), title) + (f"<p>{caption}</p>" if caption else "")


def _product(card: Card) -> str:
    image = picture_html({"src": _text(card, "productImageSrc")})
    title, description = _text(card, "productTitle"), _text(card, "productDescription")
    button = link_html(_text(card, "productUrl"), _text(card, "productButton"))
    has_button = _text(card, "productUrl") or _text(card, "productButton")
    return f"{image}<h4>{title}</h4>{description}{button if has_button else ''}"


def _header(card: Card) -> str:
    texts = [_text(card, "subheader", "subheading")]
    heading = _text(card, "header", "heading")
    button = _button(card) if _text(card, "buttonUrl") else ""
    image = picture_html({"src": _text(card, "backgroundImageSrc")})
    head = f"<h2>{heading}</h2>" if heading else ""
    return f"{image}{head}{''.join(f'<p>{text}</p>' for text in texts if text)}{button}"


def _call_to_action(card: Card) -> str:
    return f"{picture_html({'src': _text(card, 'imageUrl')})}{_text(card, 'textValue')}{_button(card)}"


_CARDS: dict[str, Callable[[Card], str]] = {
    "html": _html,
    "markdown": _markdown,
    "card-markdown": _markdown,
    "image": picture_html,
    "gallery": _gallery,
    "bookmark": _bookmark,
    "embed": _embed,
    "code": _code,
    "codeblock": _code,
    "button": _button,
    "callout": _callout,
    "toggle": _toggle,
    "audio": _file,
    "video": _file,
    "file": _file,
    "product": _product,
    "header": _header,
    "call-to-action": _call_to_action,
    "hr": lambda _card: "<hr>",
    "horizontalrule": lambda _card: "<hr>",
    "paywall": lambda _card: PAYWALL,
    "soft-return": lambda _card: "<br>",
}
