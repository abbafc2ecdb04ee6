"""A story from a link: what the page says, with the address where it ended, or a sentence why not."""

from __future__ import annotations

import pytest

from newsletter.content.document import StoryContent
from newsletter.gathering.page import UnreadableLink, story_from_link
from tests.publisher import Answer, Publisher, neighbour

PAGE = b'<title>Quay 3</title><meta name="description" content="It lifts.">'
HTML = {"Content-Type": "text/html; charset=utf-8"}


def test_a_page_becomes_a_story_under_the_address_where_redirects_end(site: Publisher) -> None:
    site.pages["/short"] = Answer(status=301, headers={"Location": "/cranes/3"})
    site.pages["/cranes/3"] = Answer(PAGE, headers=HTML)
    assert story_from_link(f" {site.url}/short ", neighbour()) == StoryContent(
        title="Quay 3", url=f"{site.url}/cranes/3", source="127.0.0.1", body="It lifts."
    )


@pytest.mark.parametrize(
    ("answer", "sentence", "permanent"),
    [
        (Answer(status=404), "status 404", True),
        (Answer(status=500), "status 500", False),
        (Answer(b"%PDF", headers={"Content-Type": "application/pdf"}), "no web page, but application/pdf", True),
        (Answer(b"<p>Words", headers=HTML), "names no title", True),
        (Answer(status=302, headers={"Location": "http://10.0.0.1/"}), "not on the public internet", True),
    ],
)
def test_what_is_no_story_is_said(site: Publisher, answer: Answer, sentence: str, permanent: bool) -> None:
    site.pages["/"] = answer
    with pytest.raises(UnreadableLink, match=sentence) as caught:
        story_from_link(f"{site.url}/", neighbour())
    assert (caught.value.permanent, caught.value.retryable) == (permanent, not permanent)
