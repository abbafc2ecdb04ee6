"""Mail domains: the largest in their order, also while connections count, and all others in one row."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.models import Send, SendCount
from newsletter.models.send_count import fold_send_counts
from newsletter.reports.mail_domains import MAX_DOMAINS, mail_domains
from tests.publications import make_issue, start_sending

#: Who counts what: a connection, or 0 for what is added up; a domain, an event and how many.
counts = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 7, 8]),
        st.integers(0, 30),
        st.sampled_from(["delivered", "delivered", "clicked"]),
        st.integers(-3, 40),
    ),
    max_size=60,
)


class AnyCounters(TestCase):
    """Counters may be added up or not; the order is that of the sums."""

    @settings(max_examples=60, deadline=None)
    @given(counts)
    def test_the_largest_domains_come_first(self, found: list[tuple[int, int, str, int]]) -> None:
        send = start_sending(make_issue())
        values: Counter[tuple[int, str, str]] = Counter()
        for writer, domain, name, value in found:
            values[writer if connection.vendor == "postgresql" else 0, f"mail{domain}.example", name] += value
        SendCount.objects.bulk_create(
            SendCount(send=send, scope="domain", key=domain, name=name, writer=writer, value=value)
            for (writer, domain, name), value in values.items()
        )
        delivered: Counter[str] = Counter()
        for (_writer, host, name), value in values.items():
            if name == "delivered":
                delivered[host] += value
        expected = sorted(delivered, key=lambda host: (-delivered[host], host))[:MAX_DOMAINS]
        totals = {"event.delivered": sum(delivered.values()) + 5}
        rows = mail_domains(send, totals)
        assert [row.domain for row in rows if row.domain] == expected
        assert [row.delivered for row in rows if row.domain] == [delivered[domain] for domain in expected]
        fold_send_counts()
        assert mail_domains(send, totals) == rows


@pytest.fixture
def send(db: None) -> Send:
    return start_sending(make_issue())


def test_all_other_domains_are_one_row(send: Send) -> None:
    changes = {(send.pk, "domain", f"mail{n:02}.example", "delivered"): 100 - n for n in range(MAX_DOMAINS + 3)}
    SendCount.objects.add(changes)
    rows = mail_domains(send, {"event.delivered": sum(changes.values())})
    assert len(rows) == MAX_DOMAINS + 1
    assert (rows[0].domain, rows[0].delivered) == ("mail00.example", 100)
    assert (rows[-1].domain, rows[-1].delivered) == ("", 80 + 79 + 78)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL plans by statistics, which a test has none of")
def test_the_order_comes_from_an_index(send: Send) -> None:
    """Of fifty thousand domains, twenty are read."""
    settled = SendCount.objects.filter(send=send, scope="domain", name="delivered", ranked__isnull=False)
    plan = settled.order_by("-ranked", "key").values("key")[:20].explain()
    assert "send_count_ranked" in plan
    assert "TEMP B-TREE" not in plan
