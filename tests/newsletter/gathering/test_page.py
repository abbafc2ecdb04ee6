"""A story from a link: the metadata of the page with its final address, or an error."""

from __future__ import annotations

import pytest

from newsletter.content.document import StoryContent
from newsletter.gathering.page import UnreadableLink, story_from_link
from tests.publisher import Answer, Publisher, local_policy

PAGE = b'<title>Quay 3</title><meta name="description" content="It lifts.">'
HTML = {"Content-Type": "text/html; charset=utf-8"}


def test_a_page_becomes_a_story_with_its_final_address(site: Publisher) -> None:
    site.pages["/short"] = Answer(status=301, headers={"Location": "/cranes/3"})
    site.pages["/cranes/3"] = Answer(PAGE, headers=HTML)
    assert story_from_link(f" {site.url}/short ", local_policy()) == StoryContent(
        title="Quay 3", url=f"{site.url}/cranes/3", source="127.0.0.1", body="It lifts."
    )


@pytest.mark.parametrize(
    ("answer", "text", "permanent"),
    [
        (Answer(status=404), "HTTP 404", True),
        (Answer(status=500), "HTTP 500", False),
        (
            Answer(b"%PDF", headers={"Content-Type": "application/pdf"}),
            "not a web page. Its type is application/pdf",
            True,
        ),
        (Answer(b"<p>Words", headers=HTML), "has no title", True),
        (Answer(status=302, headers={"Location": "http://10.0.0.1/"}), "not on the public internet", True),
    ],
)
def test_a_page_that_is_not_a_story_is_an_error(site: Publisher, answer: Answer, text: str, permanent: bool) -> None:
    site.pages["/"] = answer
    with pytest.raises(UnreadableLink, match=text) as caught:
        story_from_link(f"{site.url}/", local_policy())
    assert (caught.value.permanent, caught.value.retryable) == (permanent, not permanent)
