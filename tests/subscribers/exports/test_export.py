"""Exports: what the files contain, who may make them, and that each is recorded."""

from __future__ import annotations

import csv
import datetime
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from subscribers.consent import actions
from subscribers.directory.selection import Selection
from subscribers.exports import rows
from subscribers.exports.export import export_subscribers
from subscribers.models import (
    ConsentKind,
    CustomField,
    Evidence,
    Export,
    ExportFormat,
    FieldKind,
    MailingList,
    Segment,
    Subscriber,
    Subscription,
    Topic,
    record_consents,
)
from subscribers.profile.fields import set_values
from subscribers.profile.tags import add_tag, get_tags
from tests.people import ADA, ada, ben, cleo, dina, emil, finn, make_mailing_list, make_subscriptions

pytestmark = pytest.mark.django_db

AT = datetime.datetime(2026, 5, 31, 9, 30, 0, 123456, tzinfo=datetime.UTC)


@pytest.fixture
def known() -> Subscription:
    """Ada, with everything that can be known."""
    subscription = ada()
    mailing_list = subscription.mailing_list
    Subscriber.objects.update(first_name="=Ada", language="de", time_zone="Europe/Berlin")
    Subscription.objects.update(source="archive", created_at=AT, confirmed_at=AT)
    for tag in get_tags(mailing_list, ["press", "@patron"]):
        add_tag(tag, Subscription.objects.all(), by="ida")
    values: dict[str, tuple[FieldKind, Any]] = {
        "boat": (FieldKind.TEXT, "-Elster-"),
        "year": (FieldKind.NUMBER, Decimal("-12.50")),
        "since": (FieldKind.DATE, datetime.date(2020, 2, 29)),
        "crew": (FieldKind.YES_NO, True),
        "ports": (FieldKind.CHOICES, ("Kiel", "Brest, France")),
    }
    for position, (key, (kind, value)) in enumerate(values.items()):
        field = CustomField.objects.create(
            mailing_list=mailing_list,
            key=key,
            label=key,
            kind=kind,
            position=position,
            options=["Kiel", "Brest, France"] if kind == FieldKind.CHOICES else [],
        )
        set_values(subscription, {field: value})
    Topic.objects.create(mailing_list=mailing_list, name="Ships", slug="ships").opt_outs.create(
        subscription=subscription
    )
    for step, text in ((ConsentKind.REQUESTED, "We will send a link."), (ConsentKind.CONFIRMED, "You agree.")):
        evidence = Evidence(form="confirm", text=text, version="3", ip="192.0.2.7", at=AT)
        record_consents(step, [Subscription.objects.select_related("subscriber", "mailing_list").get()], evidence)
    return subscription


def exported(
    form: ExportFormat = ExportFormat.CSV, selection: Selection | None = None, *, with_bom: bool = False
) -> bytes:
    chosen = selection or Selection()
    return b"".join(
        export_subscribers(MailingList.objects.get(slug="harbour-notes"), chosen, form, with_bom=with_bom, by="ida")
    )


def table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def test_a_csv_has_one_row_per_subscription_with_the_last_proof(known: Subscription) -> None:
    assert table(exported()) == [
        {
            "address": ADA,
            "first_name": "'=Ada",
            "state": "active",
            "tags": "'@patron, press",
            "joined_at": "2026-05-31T09:30:00Z",
            "confirmed_at": "2026-05-31T09:30:00Z",
            "ended_at": "",
            "source": "archive",
            "language": "de",
            "time_zone": "Europe/Berlin",
            "field:boat": "'-Elster-",
            "field:year": "-12.5",
            "field:since": "2020-02-29",
            "field:crew": "yes",
            "field:ports": "Kiel, Brest, France",
            "frequency": "each",
            "paused_until": "",
            "topics_off": "ships",
            "suppression_reason": "",
            "proof": "confirmed | 2026-05-31T09:30:00Z | confirm | You agree.",
        }
    ]


def test_json_lines_have_all_consents(known: Subscription) -> None:
    (line,) = exported(ExportFormat.JSONL).splitlines()
    row = json.loads(line)
    assert row["fields"] == {
        "boat": "-Elster-",
        "year": "-12.5",
        "since": "2020-02-29",
        "crew": "yes",
        "ports": ["Kiel", "Brest, France"],
    }
    assert (row["address"], row["first_name"], row["list"], row["tags"]) == (
        ADA,
        "=Ada",
        "harbour-notes",
        ["@patron", "press"],
    )
    assert [consent["kind"] for consent in row["consents"]] == ["requested", "confirmed"]
    assert row["consents"][1] | {"list_name": ""} == {
        "kind": "confirmed",
        "created_at": "2026-05-31T09:30:00Z",
        "address": ADA,
        "list_name": "",
        "form": "confirm",
        "text": "You agree.",
        "text_version": "3",
        "ip": "192.0.2.7",
    }


def test_every_state_is_exported_with_the_reason_of_a_suppression() -> None:
    for person in (ada, ben, cleo, dina, emil, finn):
        person()
    found = {row["address"].partition("@")[0]: (row["state"], row["suppression_reason"]) for row in table(exported())}
    assert found == {
        "ada": ("active", ""),
        "ben": ("pending", ""),
        "cleo": ("unsubscribed", ""),
        "dina": ("suppressed", "complaint"),
        "emil": ("suppressed", "hard_bounce"),
        "finn": ("active", ""),
    }


def test_many_rows_are_read_in_chunks_with_a_fixed_number_of_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHUNK", 10)
    monkeypatch.setattr(rows, "CHUNK_OF_KEYS", 10)
    make_subscriptions(25)
    ada(make_mailing_list("tide-tables", name="Tide Tables"))
    with CaptureQueriesContext(connection) as queries:
        found = [row["address"] for row in table(exported())]
    assert found == [f"reader-{number}@example.org" for number in range(1, 26)]
    assert len(queries) < 25


def test_a_selection_and_a_segment_are_exported() -> None:
    make_subscriptions(3)
    picked = cleo()
    segment = Segment.objects.create(mailing_list=picked.mailing_list, name="Jury", is_picked=True)
    segment.picks.create(subscription=picked)
    for selection, count in (
        (Selection(segment=segment.pk), 1),
        (Selection(state="active"), 3),
        (Selection(text="reader-2"), 1),
        (Selection(keys=(picked.subscriber_id,)), 1),
        (Selection(text="nobody"), 0),
    ):
        assert len(table(exported(selection=selection))) == count
    assert exported(ExportFormat.JSONL, Selection(text="nobody")) == b""


def test_a_csv_for_excel_begins_with_a_mark(known: Subscription) -> None:
    assert exported(with_bom=True).startswith(b"\xef\xbb\xbfaddress,")


def test_each_export_is_recorded_and_an_unfinished_one_has_no_end() -> None:
    make_subscriptions(3)
    exported(selection=Selection(state="active"))
    record = Export.objects.get()
    assert (record.by, record.list_name, record.format, record.rows) == ("ida", "Harbour Notes", "csv", 3)
    assert record.selection["state"] == "active"
    assert record.finished_at
    next(export_subscribers(make_mailing_list(), Selection(), ExportFormat.CSV, by="ida"))
    assert Export.objects.latest("pk").finished_at is None


# In the admin

PAGE = "/admin/subscribers/subscriber/export/"


def test_an_editor_with_the_right_downloads_the_selection(client: Client, known: Subscription) -> None:
    cleo()
    eva = User.objects.create_user("eva", password="a long password", is_staff=True)
    rights = ["view_subscriber", "view_personal_data", "export_subscriber", "view_export"]
    eva.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(eva)
    answer: Any = client.post("/admin/subscribers/subscriber/?state=active", {"action": "export", "everyone": "1"})
    assert "contains 1 subscriber of this selection" in client.get(answer.url).content.decode()
    form = {"mailing_list": str(known.mailing_list_id), "format": "csv"}
    file: Any = client.post(answer.url, form)
    assert file["Content-Disposition"].startswith('attachment; filename="harbour-notes-')
    assert "no-store" in file["Cache-Control"]
    assert [row["address"] for row in table(b"".join(file.streaming_content))] == [ADA]
    assert "eva" in client.get("/admin/subscribers/export/").content.decode()
    assert Export.objects.get().by == "eva"


def test_nobody_exports_without_the_right(client: Client) -> None:
    leo = User.objects.create_user("leo", password="a long password", is_staff=True)
    leo.user_permissions.set(Permission.objects.filter(codename__in=["view_subscriber", "export_subscriber"]))
    client.force_login(leo)
    assert client.post(PAGE, {"mailing_list": make_mailing_list().pk, "format": "csv"}).status_code == 403
    assert "Export" not in client.get("/admin/subscribers/subscriber/").content.decode()
    assert not Export.objects.exists()


# By command


def test_the_command_writes_a_file(tmp_path: Path, known: Subscription) -> None:
    file = tmp_path / "people.csv"
    call_command("export_subscribers", "--list", "harbour-notes", "--output", str(file))
    assert [row["address"] for row in table(file.read_bytes())] == [ADA]
    assert Export.objects.get().by == "export_subscribers"


def test_the_command_writes_to_standard_output(capfdbinary: Any, known: Subscription) -> None:
    segment = Segment.objects.create(mailing_list=known.mailing_list, name="Jury", is_picked=True)
    segment.picks.create(subscription=known)
    call_command("export_subscribers", "--segment", "Jury", "--format", "jsonl")
    assert json.loads(capfdbinary.readouterr().out)["address"] == ADA


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--list", "x"], "There is no list “x”. Lists: harbour-notes, tide-tables."),
        ([], "Choose a list with --list: harbour-notes, tide-tables."),
        (["--list", "tide-tables", "--segment", "Jury"], "Tide Tables has no segment “Jury”."),
        (["--list", "tide-tables", "--output", "/nowhere/x"], "/nowhere/x cannot be written"),
    ],
)
def test_the_command_says_what_to_change(arguments: list[str], sentence: str) -> None:
    make_mailing_list()
    make_mailing_list("tide-tables", name="Tide Tables")
    with pytest.raises(CommandError, match=sentence):
        call_command("export_subscribers", *arguments)


def test_a_subscriber_who_left_and_came_back_is_exported_with_the_latest_proof(known: Subscription) -> None:
    actions.unsubscribe(known.key, Evidence(form="one-click"))
    evidence = Evidence(form="confirm", text="You agree again.", at=AT + datetime.timedelta(days=1))
    record_consents(
        ConsentKind.CONFIRMED, [Subscription.objects.select_related("subscriber", "mailing_list").get()], evidence
    )
    assert table(exported())[0]["proof"] == "confirmed | 2026-06-01T09:30:00Z | confirm | You agree again."
