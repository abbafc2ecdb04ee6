"""The last look: a part that could not be filled, read or shown whole is never handed on."""

from __future__ import annotations

import pytest

from newsletter.rendering.errors import RenderingError
from newsletter.rendering.proof import proof_html, proof_text, slots_used
from newsletter.rendering.slots import SlotContext, slot_token

NONCE = "0123456789ab"


def tokens(context: SlotContext) -> str:
    return " ".join(slot_token(NONCE, slot, context) for slot in ("unsubscribe_url", "preferences_url"))


HTML = f"<!DOCTYPE html><html><body><!--[if mso]>x<![endif]-->{tokens(SlotContext.HTML)}</body></html>"
TEXT = f"Words.\n{tokens(SlotContext.PLAIN)}\n"


def test_sound_parts_pass() -> None:
    proof_html(HTML, NONCE)
    proof_text(TEXT, NONCE)
    assert slots_used(HTML, TEXT, nonce=NONCE) == ("preferences_url", "unsubscribe_url")


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        (HTML.removeprefix("<!DOCTYPE html>"), "lost its document type"),
        (HTML.replace("<!DOCTYPE", "<!doctype"), "lost its document type"),
        (HTML.replace("<![endif]-->", ""), "never closed"),
        (HTML.replace("<!--[if mso]>", ""), "not balanced"),
        (HTML.replace("<!--[if mso]>", "<!--[if mso]><!--[if mso]>"), "not balanced"),
        (HTML.replace("xqz", "xq%7A", 1), "slot of the HTML part was damaged"),
        (HTML.replace("zq01", "ZQ01", 1), "slot of the HTML part was damaged"),
        (HTML.replace(slot_token(NONCE, "unsubscribe_url", SlotContext.HTML), ""), "no place for unsubscribe_url"),
        (HTML.replace(f"zq{NONCE}xhu", f"zq{NONCE}xpu"), "escaped for another part"),
    ],
)
def test_html_that_would_not_arrive_whole_is_refused(html: str, reason: str) -> None:
    with pytest.raises(RenderingError, match=reason):
        proof_html(html, NONCE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT.replace("xqz", "x", 1), "slot of the text part was damaged"),
        ("Words.", "no place for preferences_url, unsubscribe_url"),
        (TEXT.replace("Words.", "https://x.example/" + "é" * 500), "1018 octets; mail allows 998"),
    ],
)
def test_text_that_mail_would_not_carry_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RenderingError, match=reason):
        proof_text(text, NONCE)


def test_a_line_that_is_too_long_is_named_by_its_number() -> None:
    with pytest.raises(RenderingError) as caught:
        proof_text(f"{TEXT}\n{'a' * 999}", NONCE)
    assert caught.value.line == 4


def test_words_about_conditional_comments_are_none() -> None:
    said = "<img alt=\"How <!--[if mso]> works\" title='<![endif]-->'>"
    proof_html(HTML.replace("<body>", f"<body>{said}"), NONCE)
    with pytest.raises(RenderingError, match="not balanced"):
        proof_html(HTML.replace("<body>", f"<body>{said}<![endif]-->"), NONCE)
