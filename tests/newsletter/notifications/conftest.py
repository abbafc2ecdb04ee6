"""A receiver, an endpoint there, and facts to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings

from newsletter.models import CHOOSABLE_TYPES, WebhookEndpoint
from newsletter.notifications import follow
from newsletter.notifications.endpoints import open_endpoint
from newsletter.notifications.facts import SOURCES
from newsletter.notifications.settled import Settled
from tests.newsletter.notifications.receiver import Receiver, receiving


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(settings, "FETCH_ALLOWED_HOSTS", ("127.0.0.1",))
    with receiving() as each:
        yield each


@pytest.fixture(autouse=True)
def _nothing_is_known_of_other_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just started."""
    monkeypatch.setattr(follow, "_settled", {source.name: Settled(source.model) for source in SOURCES})


@pytest.fixture
def open_at(receiver: Receiver, db: None) -> Callable[..., WebhookEndpoint]:
    """Makes an endpoint at a path of the receiver, for all types."""

    def make(path: str = "/hook", **fields: Any) -> WebhookEndpoint:
        values: dict[str, Any] = {"name": f"Shop {path}", "types": [str(each) for each in CHOOSABLE_TYPES]}
        endpoint = WebhookEndpoint(url=receiver.url + path, **(values | fields))
        open_endpoint(endpoint)
        return endpoint

    return make


@pytest.fixture
def endpoint(open_at: Callable[..., WebhookEndpoint]) -> WebhookEndpoint:
    return open_at()
