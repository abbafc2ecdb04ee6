"""Inlining of styles: what premailer would drop, fetch or overwrite stays as it was."""

from __future__ import annotations

import socket

import pytest

from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.inline import inline_css

DOCUMENT = compile_mjml(
    "<mjml><mj-head>\n<mj-style>.deep { color: #123456 !important }</mj-style>\n</mj-head><mj-body>"
    '<mj-section><mj-column><mj-text css-class="say"><h1>Hello</h1><p class="quiet">a&#160;b — ü</p></mj-text>'
    "</mj-column></mj-section></mj-body></mjml>"
)


def test_the_doctype_survives() -> None:
    assert inline_css(DOCUMENT, "p { margin: 0 }").startswith("<!DOCTYPE html>")


def test_rules_are_written_into_the_elements_they_match() -> None:
    html = inline_css(DOCUMENT, "h1 { font-size: 30px } .quiet { color: #5a5c6e }")
    assert '<h1 style="font-size:30px">Hello</h1>' in html
    assert '<p class="quiet" style="color:#5a5c6e">' in html


def test_important_survives_inside_media_queries_and_mjml_styles() -> None:
    html = inline_css(DOCUMENT, "@media (prefers-color-scheme: dark) { h1 { color: #eeeeee !important } }")
    assert "h1 { color: #eeeeee !important }" in html
    assert ".deep { color: #123456 !important }" in html
    assert "width:100% !important" in html


def test_important_survives_in_the_elements() -> None:
    assert '<h1 style="color:#e1d2c3 !important">' in inline_css(DOCUMENT, "h1 { color: #e1d2c3 !important }")


def test_an_import_is_never_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[object] = []

    def look_up(*arguments: object, **_: object) -> list[object]:
        looked_up.append(arguments)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", look_up)
    css = '@import url("http://styles.example.invalid/x.css");\nh1 { color: #123123 }'
    assert '<h1 style="color:#123123">' in inline_css(DOCUMENT, css)
    assert looked_up == []


def test_sizes_in_attributes_are_not_overwritten() -> None:
    html = DOCUMENT.replace("<h1>", '<img src="x.png" alt="" width="1" height="1"><h1>')
    assert 'width="1" height="1"' in inline_css(html, "img { height: auto; width: 100% }")


def test_only_our_own_rules_are_inlined_and_not_those_of_mjml() -> None:
    html = inline_css(DOCUMENT, "h1 { margin: 0 }")
    assert "border-collapse:collapse" not in html.replace(" ", "").partition("<body")[2]
    assert "data-premailer" not in html


def test_conditional_comments_for_outlook_are_untouched() -> None:
    html = inline_css(DOCUMENT, "td { padding: 3px }")
    assert html.count("<!--[if") == DOCUMENT.count("<!--[if")
    for comment in ("<!--[if mso]>\n<noscript>\n<xml>", "<!--[if !mso]><!-->", "<!--<![endif]-->"):
        assert comment in html


def test_non_ascii_characters_are_kept() -> None:
    assert "a\u00a0b — ü" in inline_css(DOCUMENT, "p { margin: 0 }")


def test_tokens_in_links_are_not_percent_encoded() -> None:
    html = DOCUMENT.replace("Hello", '<a href="zq0123456789abxhunsubscribe_urlxqz">x</a>')
    assert 'href="zq0123456789abxhunsubscribe_urlxqz"' in inline_css(html, "a { color: #000000 }")


def test_an_empty_document_is_a_rendering_error() -> None:
    with pytest.raises(RenderingError, match="styles could not be inlined"):
        inline_css("", "p { margin: 0 }")


def test_a_cached_stylesheet_gives_the_same_result() -> None:
    css = "h1 { color: #0a0b0c }"
    assert inline_css(DOCUMENT, css) == inline_css(DOCUMENT, css)


def test_a_style_in_the_body_is_kept_like_those_of_the_head() -> None:
    html = "<!doctype html><html><head></head><body><style>p { color: red }</style><p>a</p></body></html>"
    assert "<p>a</p>" in inline_css(html, "b { color: blue }")
