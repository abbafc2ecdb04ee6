"""The archive reads editions of every age."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from newsletter.content.web_versions import content_sha256
from newsletter.models import Edition, Send
from newsletter.models.web_pages import public_issues
from newsletter.web.archive import UnreadableEdition, read_issue
from tests.publications import make_issue, start_sending

pytestmark = pytest.mark.django_db


def send_other_content(send: Send, content: Any) -> None:
    """Let the send have an edition with this content."""
    fields = {"issue": send.issue, "revision": 1, "subject": "?", "html": "", "text": "", "nonce": "0" * 12}
    other = Edition.objects.create(**fields, envelope={}, content=content, sha256=content_sha256(content))
    Send.objects.filter(pk=send.pk).update(edition=other)


def test_an_edition_from_before_blocks_can_be_read() -> None:
    send = start_sending(make_issue())
    newsletter = send.issue.newsletter
    now = read_issue(newsletter, public_issues().get())
    content = copy.deepcopy(send.edition.content)
    for section in content["sections"]:
        for key in ("kind", "url", "source", "image", "alt"):
            del section[key]
    send_other_content(send, content)

    assert read_issue(newsletter, public_issues().get()).view == now.view


def test_an_edition_of_a_later_version_is_reported_instead_of_shown_in_part() -> None:
    send = start_sending(make_issue())
    content = copy.deepcopy(send.edition.content)
    content["sections"][0]["kind"] = "hologram"
    send_other_content(send, content)

    with pytest.raises(UnreadableEdition, match=f"issue {send.issue_id} cannot be read"):
        read_issue(send.issue.newsletter, public_issues().get())
