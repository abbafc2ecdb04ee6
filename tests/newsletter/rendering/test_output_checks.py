"""The last look: a part that could not be filled, read or shown whole is never handed on."""

from __future__ import annotations

import pytest

from newsletter.rendering.errors import RenderingError
from newsletter.rendering.output_checks import check_output_html, check_output_text, placeholders_used
from newsletter.rendering.placeholders import PlaceholderContext, placeholder_token

NONCE = "0123456789ab"


def tokens(context: PlaceholderContext) -> str:
    return " ".join(
        placeholder_token(NONCE, placeholder, context) for placeholder in ("unsubscribe_url", "preferences_url")
    )


HTML = f"<!DOCTYPE html><html><body><!--[if mso]>x<![endif]-->{tokens(PlaceholderContext.HTML)}</body></html>"
TEXT = f"Words.\n{tokens(PlaceholderContext.PLAIN)}\n"


def test_sound_parts_pass() -> None:
    check_output_html(HTML, NONCE)
    check_output_text(TEXT, NONCE)
    assert placeholders_used(HTML, TEXT, nonce=NONCE) == ("preferences_url", "unsubscribe_url")


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        (HTML.removeprefix("<!DOCTYPE html>"), "lost its document type"),
        (HTML.replace("<!DOCTYPE", "<!doctype"), "lost its document type"),
        (HTML.replace("<![endif]-->", ""), "never closed"),
        (HTML.replace("<!--[if mso]>", ""), "not balanced"),
        (HTML.replace("<!--[if mso]>", "<!--[if mso]><!--[if mso]>"), "not balanced"),
        (HTML.replace("xqz", "xq%7A", 1), "placeholder of the HTML part was damaged"),
        (HTML.replace("zq01", "ZQ01", 1), "placeholder of the HTML part was damaged"),
        (
            HTML.replace(placeholder_token(NONCE, "unsubscribe_url", PlaceholderContext.HTML), ""),
            "no place for unsubscribe_url",
        ),
        (HTML.replace(f"zq{NONCE}xhu", f"zq{NONCE}xpu"), "escaped for another part"),
    ],
)
def test_html_that_would_not_arrive_whole_is_refused(html: str, reason: str) -> None:
    with pytest.raises(RenderingError, match=reason):
        check_output_html(html, NONCE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT.replace("xqz", "x", 1), "placeholder of the text part was damaged"),
        ("Words.", "no place for preferences_url, unsubscribe_url"),
        (TEXT.replace("Words.", "https://x.example/" + "é" * 500), "1018 octets; mail allows 998"),
    ],
)
def test_text_that_mail_would_not_carry_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RenderingError, match=reason):
        check_output_text(text, NONCE)


def test_a_line_that_is_too_long_is_named_by_its_number() -> None:
    with pytest.raises(RenderingError) as caught:
        check_output_text(f"{TEXT}\n{'a' * 999}", NONCE)
    assert caught.value.line == 4


def test_words_about_conditional_comments_are_none() -> None:
    said = "<img alt=\"How <!--[if mso]> works\" title='<![endif]-->'>"
    check_output_html(HTML.replace("<body>", f"<body>{said}"), NONCE)
    with pytest.raises(RenderingError, match="not balanced"):
        check_output_html(HTML.replace("<body>", f"<body>{said}<![endif]-->"), NONCE)
