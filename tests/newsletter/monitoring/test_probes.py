"""Probes: alive without a database, ready only with one, and numbers for those alone who may have them."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import yaml
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.models import BatchState, Event, EventLogReading, EventTally, Issue, ProviderThrottle, Send, SendState
from newsletter.monitoring import health
from newsletter.providers import get_route
from subscribers.models import Signup
from tests.newsletter.monitoring.conftest import a_worker, ago, refresh, set_batch
from tests.publications import make_newsletter

HERE: dict[str, Any] = {"HTTP_HOST": "127.0.0.1:8000", "REMOTE_ADDR": "127.0.0.1"}


def test_a_process_that_answers_is_healthy_without_a_database() -> None:
    answer = Client().get("/healthz")  # this test may not use the database
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer["Cache-Control"] == "no-store"


def test_a_probe_may_use_the_address_of_the_machine_as_host() -> None:
    assert Client().get("/healthz", HTTP_HOST="10.1.2.3:8000").status_code == 200


@pytest.mark.django_db
def test_it_is_ready_when_every_migration_is_applied() -> None:
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "reasons": []})


@pytest.mark.django_db
def test_it_is_not_ready_while_a_migration_is_not_applied() -> None:
    MigrationRecorder(connection).record_unapplied("newsletter", "0001_initial")
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert "manage.py migrate" in answer.json()["reasons"][0]


@pytest.mark.django_db
def test_it_is_not_ready_without_a_database_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OperationalError("password authentication failed for user marked at db.internal")

    monkeypatch.setattr(health, "count_unapplied_migrations", refuse)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["The database does not answer (OperationalError)."]


@pytest.mark.django_db
def test_it_is_not_ready_when_no_provider_can_be_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ValueError("whsec_marked")

    monkeypatch.setattr(health, "get_provider", refuse)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert "marked" not in answer.content.decode()


def samples() -> dict[tuple[str, ...], float]:
    """Every sample by its name and label values (in the order of label names), read by Prometheus's parser."""
    answer = Client().get("/metrics", **HERE)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def test_metrics_are_counted_from_the_database(send: Send, batches: list[Any]) -> None:
    set_batch(batches[0], state=BatchState.ACCEPTED, finished_at=ago(seconds=5))
    set_batch(batches[1], state=BatchState.HELD)
    set_batch(batches[2], not_before=ago(seconds=90))
    refresh(send, started_at=ago(seconds=90))
    Event.objects.create(provider="resend", event_id="msg_1", body="{}", received_at=ago(seconds=30))
    a_worker("host:7", seen=ago(seconds=20))
    found = samples()
    assert found["newsletter_sends", "sending"] == 1
    assert found["newsletter_sends", "paused"] == 0
    assert found["newsletter_batches", "held"] == 1
    assert found["newsletter_batches", "ready"] == 3
    assert found["newsletter_deliveries", "pending"] == 10
    assert 85 < found["newsletter_oldest_open_batch_age_seconds",] < 150
    assert found["newsletter_accepted_mails_per_second",] == pytest.approx(2 / 60)
    assert found["newsletter_events_waiting",] == 1
    assert 25 < found["newsletter_oldest_waiting_event_age_seconds",] < 90
    assert found["newsletter_workers_alive",] == 1
    assert 15 < found["newsletter_worker_heartbeat_age_seconds", "host:7"] < 80


def test_a_scheduled_send_that_was_not_started_is_overdue(send: Send) -> None:
    refresh(send, state=SendState.SCHEDULED, scheduled_at=ago(seconds=90))
    found = samples()
    assert found["newsletter_sends_overdue",] == 1
    assert 85 < found["newsletter_oldest_overdue_send_seconds",] < 150


def test_the_rate_includes_a_send_that_ended_within_the_last_minute(send: Send, batches: list[Any]) -> None:
    set_batch(batches[0], state=BatchState.ACCEPTED, finished_at=ago(seconds=20))
    refresh(send, state=SendState.SENT, finished_at=ago(seconds=19))
    assert samples()["newsletter_accepted_mails_per_second",] == pytest.approx(2 / 60)


@pytest.mark.django_db
def test_the_oldest_signup_that_waits_is_measured() -> None:
    Signup.objects.create(
        mailing_list=make_newsletter(), address="b@example.org", evidence={}, created_at=ago(seconds=90)
    )
    found = samples()
    assert found["newsletter_signups_waiting",] == 1
    assert found["newsletter_oldest_waiting_signup_age_seconds",] == pytest.approx(90, abs=5)


@pytest.mark.django_db
def test_an_empty_installation_has_every_metric() -> None:
    found = samples()
    assert found["newsletter_batches", "unknown"] == 0
    assert found["newsletter_provider_availability", "available", "resend"] == 1
    assert found["newsletter_sends_overdue",] == 0
    assert found["newsletter_transactional_mails_waiting",] == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("row", "availability", "wait"),
    [
        ({}, "available", 0),
        ({"backoff_until": 40, "failures": 2}, "backing_off", 40),
        ({"backoff_until": 40, "circuit_opened_at": -9, "failures": 5}, "circuit_open", 40),
        ({"backoff_until": -4, "circuit_opened_at": -9, "failures": 5}, "circuit_open", 0),
        ({"quota_until": 4000}, "quota_exceeded", 4000),
        ({"suspended_at": -9}, "suspended", math.inf),
    ],
    ids=str,
)
def test_the_availability_of_each_provider(row: dict[str, int], availability: str, wait: float) -> None:
    (provider,) = get_route()
    fields = {name: ago(seconds=-value) if name != "failures" else value for name, value in row.items()}
    ProviderThrottle.objects.create(provider=provider.name, account=provider.account, rate=5.0, **fields)
    found = samples()
    name = "newsletter_provider_availability"
    assert [key for key, value in found.items() if key[0] == name and value == 1] == [(name, availability, "resend")]
    assert found["newsletter_provider_wait_seconds", "resend"] == pytest.approx(wait, abs=30)
    assert found["newsletter_provider_posts_per_second", "resend"] == pytest.approx(4.0), (
        "a fifth is reserved for transactional mail"
    )
    assert found["newsletter_provider_failures", "resend"] == row.get("failures", 0)


def test_no_label_contains_an_address_or_a_title(issue: Issue, batches: list[Any]) -> None:
    text = Client().get("/metrics", **HERE).content.decode()
    assert "@" not in text
    assert issue.title not in text
    assert issue.slug not in text


@pytest.mark.django_db
@pytest.mark.parametrize(
    "request_from",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"HTTP_HOST": "digest.example.org"},
        {"HTTP_HOST": "[not an address"},
        {"HTTP_X_FORWARDED_FOR": "192.0.2.7"},
        {"HTTP_FORWARDED": "for=192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {"HTTP_AUTHORIZATION": "Bearer wrong", "REMOTE_ADDR": "192.0.2.7"},
        {"HTTP_AUTHORIZATION": "Bearer ", "REMOTE_ADDR": "192.0.2.7"},
    ],
    ids=str,
)
def test_metrics_do_not_exist_for_other_requests(request_from: dict[str, Any]) -> None:
    assert Client().get("/metrics", **(HERE | request_from)).status_code == 404


@pytest.mark.django_db
def test_the_token_gives_access_from_any_machine(settings: Any) -> None:
    settings.METRICS_TOKEN = "a-token-of-twenty-characters"
    elsewhere: dict[str, Any] = {"HTTP_HOST": "digest.example.org", "REMOTE_ADDR": "192.0.2.7"}
    headers = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"}
    assert Client().get("/metrics", **elsewhere, headers=headers).status_code == 200
    assert Client().get("/metrics", **elsewhere, headers={"Authorization": f"Bearer {'é' * 20}"}).status_code == 404


@pytest.mark.django_db
def test_the_docs_list_every_metric_and_no_other() -> None:
    a_worker()
    Event.objects.create(provider="resend", event_id="msg_1", body="{}")
    EventTally.objects.add({("ignored", "event_unreadable"): 1})
    EventLogReading.objects.create(provider="resend")
    before, renamed, after = re.split(
        r"(## Names that changed\n.*?)(?=\n## )", (PROJECT_ROOT / "docs/run-it.md").read_text(), flags=re.DOTALL
    )
    exported = {name for name, *_ in samples()}
    assert set(re.findall(r"newsletter_[a-z_]+", before + after)) == exported
    rows = re.findall(r"^\| metric `(newsletter_[a-z_]+)\S* \| `(newsletter_[a-z_]+)", renamed, re.MULTILINE)
    assert {new for _, new in rows} <= exported
    # Of deliveries only the label was renamed.
    assert {old for old, _ in rows} & exported == {"newsletter_deliveries"}


@pytest.mark.django_db
def test_unused_events_are_counted_by_reason_without_reading_them() -> None:
    EventTally.objects.add({("ignored", "event_unreadable"): 2, ("orphan", "no_such_delivery"): 3, ("new", "x"): 1})
    EventTally.objects.add({("orphan", "no_such_delivery"): -1})
    EventLogReading.objects.create(provider="resend", endpoint_id="w1", is_enabled=False)
    found = samples()
    assert found["newsletter_events_unused", "event_unreadable"] == 2
    assert found["newsletter_events_unused", "no_such_delivery"] == 2
    assert ("newsletter_events_unused", "x") not in found
    assert found["newsletter_webhook_endpoint_enabled", "resend"] == 0


def test_the_alert_rules_in_the_docs_can_be_read() -> None:
    (rules,) = re.findall(r"```yaml\n(.*?)```", (PROJECT_ROOT / "docs/run-it.md").read_text(), re.DOTALL)
    (group,) = yaml.safe_load(rules)["groups"]
    assert all({"alert", "expr", "annotations"} <= set(rule) for rule in group["rules"])


def test_probes_answer_only_get_and_head() -> None:
    assert Client().post("/metrics", **HERE).status_code == 405
