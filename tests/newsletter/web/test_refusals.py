"""Requests that are refused before a view sees them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse


@pytest.mark.parametrize("host", ["scanner.example", "testserver.scanner.example", "", "a b", "x" * 5000, "é\nforged"])
@pytest.mark.parametrize("path", ["/", "/admin/", "/subscribe/harbour-notes/", "/nothing/here"])
def test_a_foreign_host_gets_400_and_one_line_in_the_log(
    host: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = Client().get(path, headers={"Host": host})
    assert answer.status_code == 400
    assert b"ALLOWED_HOSTS" in answer.content
    (line,) = caplog.records
    assert line.exc_info is None
    assert line.getMessage().startswith("Host not allowed: ")
    assert "\n" not in line.getMessage()
    assert len(line.getMessage()) < 200


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["q=%00", "state__exact=%00", "%00=1"])
def test_a_nul_character_in_a_url_of_the_admin_is_refused(query: str, admin_client: Client) -> None:
    assert admin_client.get(f"{reverse('admin:newsletter_issue_changelist')}?{query}").status_code == 400
