"""A publisher on this machine, and a newsletter that follows its feed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from newsletter.models import Feed
from tests.publications import make_newsletter
from tests.publisher import Publisher, publishing


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setattr(settings, "FETCH_ALLOWED_HOSTS", ("127.0.0.1",))
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def feed(site: Publisher, db: None) -> Feed:
    """A due feed of Harbour Notes."""
    return Feed.objects.create(newsletter=make_newsletter(), url=f"{site.url}/feed")
