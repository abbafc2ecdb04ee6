"""The archive reads editions of every age."""

from __future__ import annotations

import pytest

from newsletter.web.archive import UnreadableEdition, read_issue
from tests.publications import make_issue, start_sending

pytestmark = pytest.mark.django_db


def test_an_edition_from_before_blocks_can_be_read() -> None:
    send = start_sending(make_issue())
    newsletter = send.issue.newsletter
    now = read_issue(newsletter, send)
    for section in send.edition.content["sections"]:
        for key in ("kind", "url", "source", "image", "alt"):
            del section[key]
    send.edition.sha256 = "before blocks"  # the cache key

    assert read_issue(newsletter, send).view == now.view


def test_an_edition_of_a_later_version_is_reported_instead_of_shown_in_part() -> None:
    send = start_sending(make_issue())
    send.edition.content["sections"][0]["kind"] = "hologram"
    send.edition.sha256 = "from later"

    with pytest.raises(UnreadableEdition, match=f"issue {send.issue_id} cannot be read"):
        read_issue(send.issue.newsletter, send)
