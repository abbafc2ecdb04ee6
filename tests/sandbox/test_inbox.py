"""The pages of the inbox."""

from __future__ import annotations

import re

import pytest
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.sandbox import SandboxServer
from newsletter.sandbox.pages import linked
from tests.sandbox.peers import ADA, BEN, Caller, Receiver, mail

EVIL = '<script>alert("x")</script>'


def page(caller: Caller, path: str, status: int = 200) -> lxml_html.HtmlElement:
    answer = caller.call("GET", path)
    assert answer.status == status
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    return lxml_html.document_fromstring(answer.data.decode())


def texts(element: lxml_html.HtmlElement, selector: str) -> list[str]:
    return [" ".join(found.text_content().split()) for found in element.cssselect(selector)]


def test_an_empty_inbox_says_so(caller: Caller) -> None:
    empty = page(caller, "/")
    assert "No mails yet." in empty.text_content()
    assert "Events are not posted" in empty.text_content()
    assert empty.get("lang") == "en"


def test_the_inbox_lists_the_newest_mail_first(caller: Caller) -> None:
    caller.send(mail(ADA, subject="First"), mail(BEN, subject="Second"))
    inbox = page(caller, "/")
    assert texts(inbox, ".mails .subject") == ["Second", "First"]
    assert texts(inbox, ".mails .to") == [BEN, ADA]
    assert texts(inbox, ".counts dd") == ["2", "2", "0", "0", "0"]


def test_mails_are_searched_by_address(caller: Caller) -> None:
    caller.send(mail(ADA, subject="First"), mail(BEN, subject="Second"))
    assert texts(page(caller, "/?q=BEN"), ".mails .subject") == ["Second"]
    assert "No mails to “cleo”." in page(caller, "/?q=cleo").text_content()
    assert texts(page(caller, "/?q=%25"), ".mails .subject") == []
    assert texts(page(caller, "/?q=%5F"), ".mails .subject") == []


def test_the_inbox_has_pages(caller: Caller) -> None:
    caller.send(*[mail(f"reader{number}@readers.test", subject=f"No. {number}") for number in range(99)])
    caller.send(*[mail(f"reader{number}@readers.test", subject=f"No. {number}") for number in range(99, 120)])
    first = page(caller, "/?q=reader")
    assert texts(first, ".mails .subject")[:2] == ["No. 119", "No. 118"]
    assert texts(first, ".pages a") == ["Older mails"]
    second = page(caller, first.cssselect(".pages a")[0].get("href"))
    assert texts(second, ".mails .subject")[0] == "No. 69"
    assert texts(second, ".pages a") == ["Newer mails", "Older mails"]
    last = page(caller, second.cssselect(".pages a")[1].get("href"))
    assert texts(last, ".mails .subject")[-1] == "No. 0"
    assert texts(last, ".pages a") == ["Newer mails"]
    back = page(caller, last.cssselect(".pages a")[0].get("href"))
    assert texts(back, ".mails .subject") == texts(second, ".mails .subject")


def test_a_mail_shows_html_text_headers_and_events(sandbox: SandboxServer, caller: Caller) -> None:
    tags = [{"name": "delivery", "value": "17"}]
    sent = mail(ADA, headers={"List-Unsubscribe": "<https://letters.test/u/1>"}, tags=tags, reply_to="a@letters.test")
    uid = caller.send_one(sent).json()["id"]
    sandbox.wait_for_webhooks()
    shown = page(caller, f"/mails/{uid}")
    assert texts(shown, "h1") == ["Eleven stories"]
    assert shown.cssselect("iframe")[0].get("src") == f"/mails/{uid}/html"
    assert shown.cssselect("iframe")[0].get("sandbox") == "allow-popups allow-popups-to-escape-sandbox"
    assert texts(shown, ".events b")[0] == "Sent"
    text = page(caller, f"/mails/{uid}?part=text")
    assert texts(text, "pre") == [sent["text"]]
    assert text.cssselect("pre a")[0].get("href") == "https://stories.test/one?a=1&b=2"
    assert texts(text, ".parts [aria-current]") == ["Text"]
    headers = dict(
        zip(
            texts(page(caller, f"/mails/{uid}?part=headers"), "th"),
            texts(page(caller, f"/mails/{uid}?part=headers"), "td"),
            strict=True,
        )
    )
    assert headers["List-Unsubscribe"] == "<https://letters.test/u/1>"
    assert headers["Tag delivery"] == "17"
    assert headers["Reply-To"] == "a@letters.test"


def test_a_mail_without_html_shows_its_text_first(caller: Caller) -> None:
    uid = caller.send_one(mail(html=None)).json()["id"]
    assert texts(page(caller, f"/mails/{uid}"), ".parts [aria-current]") == ["Text"]
    assert "This mail has no HTML part." in page(caller, f"/mails/{uid}?part=html").text_content()


def test_content_of_a_mail_is_escaped_in_the_pages(caller: Caller) -> None:
    uid = caller.send_one(
        mail(
            f'"{EVIL.replace("<", "(").replace(">", ")")}" <ada@readers.test>',
            subject=EVIL,
            text=f'{EVIL} https://a.test/"onmouseover="x',
            headers={"X-Evil": EVIL},
        )
    ).json()["id"]
    for path in ("/", f"/mails/{uid}", f"/mails/{uid}?part=text", f"/mails/{uid}?part=headers", f"/?q={EVIL}"):
        shown = page(caller, path)
        assert shown.cssselect("script") == []
        assert not [element for element in shown.iter() if any(name.startswith("on") for name in element.attrib)]
        assert EVIL in shown.text_content()


def test_the_html_of_a_mail_is_sandboxed(caller: Caller) -> None:
    contents = f"<!doctype html><html><head><title>x</title></head><body>{EVIL}</body>"
    uid = caller.send_one(mail(html=contents)).json()["id"]
    answer = caller.call("GET", f"/mails/{uid}/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert answer.data.decode().startswith('<!doctype html><html><head><base target="_blank"><title>')


@pytest.mark.parametrize(
    ("button", "event", "state"),
    [
        ("opened", "email.opened", "Opened"),
        ("clicked", "email.clicked", "Clicked"),
        ("bounced", "email.bounced", "Bounced"),
        ("deferred", "email.bounced", "Bounced"),
        ("complained", "email.complained", "Complained"),
    ],
)
def test_a_button_triggers_an_event(
    posting_sandbox: SandboxServer, posting_caller: Caller, receiver: Receiver, button: str, event: str, state: str
) -> None:
    uid = posting_caller.send_one(mail()).json()["id"]
    posting_sandbox.wait_for_webhooks()
    form = {"content-type": "application/x-www-form-urlencoded", "origin": posting_sandbox.url}
    answer = posting_caller.call("POST", f"/mails/{uid}/events", f"event={button}".encode(), form)
    assert (answer.status, answer.headers["location"]) == (303, f"/mails/{uid}")
    posting_sandbox.wait_for_webhooks()
    assert receiver.received[-1].verified()["type"] == event
    shown = page(posting_caller, f"/mails/{uid}")
    assert texts(shown, ".facts .state") == [state]
    assert "Webhook delivered after 1 try" in shown.text_content()
    listed = posting_caller.call("GET", f"/suppressions/{ADA}").status == 200
    assert listed == (button in ("bounced", "complained"))


def test_a_mail_without_links_cannot_be_clicked(caller: Caller) -> None:
    uid = caller.send_one(mail(html="<p>No link</p>")).json()["id"]
    shown = page(caller, f"/mails/{uid}")
    assert [button.get("value") for button in shown.cssselect("button[disabled]")] == ["clicked"]
    assert caller.call("POST", f"/mails/{uid}/events", b"event=clicked").status == 422
    assert caller.call("POST", f"/mails/{uid}/events", b"event=unknown").status == 422


def test_an_unknown_mail_has_an_error_page(caller: Caller) -> None:
    assert "Not found" in page(caller, "/mails/nothing", status=404).text_content()


def test_forms_of_other_sites_are_refused(caller: Caller) -> None:
    uid = caller.send_one(mail()).json()["id"]
    for origin in ("http://evil.test", "null"):
        answer = caller.call("POST", f"/mails/{uid}/events", b"event=opened", {"origin": origin})
        assert (answer.status, answer.json()["name"]) == (403, "invalid_permission")


@pytest.mark.parametrize("path", ["/", "/sandbox/ledger", "/emails"])
def test_another_host_name_is_refused(caller: Caller, path: str) -> None:
    assert caller.call("GET", path, headers={"host": "evil.test:8026"}).status == 403


def test_style_and_icon_are_served(caller: Caller) -> None:
    style = caller.call("GET", "/style.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in style.data.decode()
    assert caller.call("GET", "/icon.svg").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("(see https://a.test/b?c=1&d=2).", '<a href="https://a.test/b?c=1&amp;d=2"'),
        ("https://a.test/<b>", '<a href="https://a.test/"'),
        ('https://a.test/"x', '<a href="https://a.test/"'),
    ],
)
def test_urls_in_texts_are_links(text: str, link: str) -> None:
    assert link in linked(text)
    assert len(re.findall("<a ", linked(text))) == 1


def test_other_schemes_are_not_links() -> None:
    assert "<a" not in linked("javascript:alert(1) ftp://a.test data:x")
