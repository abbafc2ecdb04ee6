"""A minimal browser for tests: follows links, submits forms, keeps cookies. No JavaScript."""

from __future__ import annotations

import http.cookiejar
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from urllib.parse import urlencode, urljoin

from lxml import html as lxml_html  # type: ignore[import-untyped]


class Page:
    """The response to one request, after redirects."""

    def __init__(self, url: str, status: int, headers: Message[str, str], body: bytes) -> None:
        self.url, self.status, self.headers, self.body = url, status, headers, body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8")

    @property
    def words(self) -> str:
        """The text without markup, with single spaces."""
        return " ".join(lxml_html.fromstring(self.text).text_content().split())

    def words_in(self, path: str) -> str:
        """The same for the elements that an XPath finds."""
        found = lxml_html.fromstring(self.text).xpath(path)
        return " ".join(" ".join(node.text_content().split()) for node in found)

    def links(self) -> list[str]:
        """All links, absolute."""
        return [urljoin(self.url, link) for link in lxml_html.fromstring(self.text).xpath("//a/@href")]

    def link(self, text: str) -> str:
        """The link with this text, absolute."""
        for node in lxml_html.fromstring(self.text).xpath("//a[@href]"):
            if text in node.text_content():
                return str(urljoin(self.url, node.get("href")))
        raise AssertionError(f"No link “{text}” on {self.url}: {self.words[:500]}")


class Browser:
    """One browser session."""

    def __init__(self) -> None:
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, url: str) -> Page:
        """Open a page."""
        return self._open(urllib.request.Request(url))

    def post(self, url: str, fields: Mapping[str, str], *, referer: str = "") -> Page:
        """Post fields, as a mail client does for one-click unsubscribing (RFC 8058)."""
        headers = {"Referer": referer} if referer else {}
        return self._open(urllib.request.Request(url, data=urlencode(fields).encode(), headers=headers))

    def submit(self, page: Page, button: str = "", **values: str) -> Page:
        """Submit the form that has a button with this text, or the last form of the page."""
        forms = lxml_html.fromstring(page.text, base_url=page.url).forms
        wanted = [form for form in forms if _buttons(form, button)]
        assert wanted, f"No form with a button “{button}” on {page.url}: {page.words[:500]}"
        form = wanted[-1]
        unknown = set(values) - {name for name in form.fields if name}
        assert not unknown, f"The form on {page.url} has no fields {unknown}."
        fields = {name: value for name, value in form.form_values() if name not in values}
        pressed = {node.get("name"): node.get("value", "") for node in _buttons(form, button)[:1] if node.get("name")}
        return self.post(urljoin(page.url, form.action or page.url), {**fields, **values, **pressed}, referer=page.url)

    def _open(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=30) as answer:
                return Page(answer.url, answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Page(error.url, error.code, error.headers, error.read())


def _buttons(form: lxml_html.FormElement, text: str) -> list[lxml_html.HtmlElement]:
    buttons = form.xpath(".//button[not(@type) or @type='submit'] | .//input[@type='submit']")
    return [button for button in buttons if text in (button.text_content() or button.get("value") or "")]
