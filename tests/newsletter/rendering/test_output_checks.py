"""Output checks: parts that could not be filled or shown completely are refused."""

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


def test_correct_parts_pass() -> None:
    check_output_html(HTML, NONCE)
    check_output_text(TEXT, NONCE)
    assert placeholders_used(HTML, TEXT, nonce=NONCE) == ("preferences_url", "unsubscribe_url")


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        (HTML.removeprefix("<!DOCTYPE html>"), "has no document type"),
        (HTML.replace("<!DOCTYPE", "<!doctype"), "has no document type"),
        (HTML.replace("<![endif]-->", ""), "never closed"),
        (HTML.replace("<!--[if mso]>", ""), "not balanced"),
        (HTML.replace("<!--[if mso]>", "<!--[if mso]><!--[if mso]>"), "not balanced"),
        (HTML.replace("xqz", "xq%7A", 1), "HTML part: a placeholder was damaged"),
        (HTML.replace("zq01", "ZQ01", 1), "HTML part: a placeholder was damaged"),
        (
            HTML.replace(placeholder_token(NONCE, "unsubscribe_url", PlaceholderContext.HTML), ""),
            "HTML part: these placeholders are missing: unsubscribe_url",
        ),
        (HTML.replace(f"zq{NONCE}xhu", f"zq{NONCE}xpu"), "has the escaping of the other part"),
    ],
)
def test_incomplete_html_is_refused(html: str, reason: str) -> None:
    with pytest.raises(RenderingError, match=reason):
        check_output_html(html, NONCE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT.replace("xqz", "x", 1), "Text part: a placeholder was damaged"),
        ("Words.", "Text part: these placeholders are missing: preferences_url, unsubscribe_url"),
        (TEXT.replace("Words.", "https://x.example/" + "é" * 500), "1018 octets; the maximum in a mail is 998"),
    ],
)
def test_text_that_cannot_be_sent_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RenderingError, match=reason):
        check_output_text(text, NONCE)


def test_a_line_that_is_too_long_is_named_by_its_number() -> None:
    with pytest.raises(RenderingError) as caught:
        check_output_text(f"{TEXT}\n{'a' * 999}", NONCE)
    assert caught.value.line == 4


def test_conditional_comments_in_attributes_are_ignored() -> None:
    image = "<img alt=\"How <!--[if mso]> works\" title='<![endif]-->'>"
    check_output_html(HTML.replace("<body>", f"<body>{image}"), NONCE)
    with pytest.raises(RenderingError, match="not balanced"):
        check_output_html(HTML.replace("<body>", f"<body>{image}<![endif]-->"), NONCE)
