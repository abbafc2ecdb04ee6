"""An import and a sign-up at the same time: neither fails, and nobody becomes active without confirming."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from subscribers.imports.chunk import Chunk
from subscribers.imports.control import start_run
from subscribers.models import Consent, Subscriber
from subscribers.models import SubscriptionState as State
from tests.people import make_mailing_list, make_subscription
from tests.subscribers.imports.importing import check, counts, plain_file, states, uploaded, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]


def _meanwhile(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Let another connection do something after the rows were classified and before they are written."""
    write = Chunk.write

    def late(chunk: Chunk) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_in_other_connection, act).result()
        write(chunk)

    monkeypatch.setattr(Chunk, "write", late)


def _in_other_connection(act: Any) -> None:
    try:
        act()
    finally:
        connection.close()


@pytest.mark.parametrize("word", ["active", "unsubscribed", "bounced"])
def test_who_signs_up_during_the_import_stays_pending(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mailing_list = make_mailing_list()
    rows = [("gus@example.org", word, "", "", ""), ("hana@example.org", "active", "", "", "")]
    stored = check(uploaded(plain_file(rows)))
    start_run(stored, by="ines")
    _meanwhile(monkeypatch, lambda: make_subscription("gus@example.org", mailing_list, state=State.PENDING))
    work(stored)
    assert states() == {"gus@example.org": State.PENDING, "hana@example.org": State.ACTIVE}
    assert counts(stored)["created"] == 1
    assert not Consent.objects.filter(canonical="gus@example.org").exists()


def test_who_declines_during_the_import_is_not_subscribed(monkeypatch: pytest.MonkeyPatch) -> None:
    make_subscription("gus@example.org", make_mailing_list("tide-tables"), state=State.PENDING)
    stored = check(uploaded(plain_file([("gus@example.org", "active", "", "", "")])))
    start_run(stored, by="ines")
    _meanwhile(monkeypatch, lambda: Subscriber.objects.update(declined_at="2026-01-01T00:00:00Z"))
    work(stored)
    assert states() == {}
    assert counts(stored) == {"kept": 1}
