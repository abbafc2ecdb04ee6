"""`manage.py import_subscribers`: a dry run by default, with the refused rows as a file."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from subscribers.imports.engine import ImportWorker
from subscribers.models import CustomField, Import, ImportState, Subscription
from tests.publications import make_newsletter
from tests.subscribers.imports.test_source import zipped

pytestmark = pytest.mark.django_db

ANSWERS = {
    "proof": "double_opt_in_elsewhere",
    "proof_date": "2024-03-02",
    "statement": "Double opt-in on example.org.",
}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    make_newsletter()
    path = tmp_path / "people.csv"
    path.write_text("email,status\ngus@example.org,active\nhana@example.org,unsubscribed\n=x,active\n")
    return path


def output(*arguments: object, **options: object) -> str:
    out = io.StringIO()
    call_command("import_subscribers", *map(str, arguments), stdout=out, **options)
    return out.getvalue()


def test_without_run_nothing_is_changed(people: Path, tmp_path: Path) -> None:
    shown = output(people, refused=str(tmp_path / "refused.csv"), **ANSWERS)
    assert "New, active" in shown
    assert "Nothing was changed" in shown
    assert not Subscription.objects.exists()
    assert not Import.objects.exists()
    refused = (tmp_path / "refused.csv").read_text()
    assert "people.csv,4,Not a valid address" in refused
    assert "'=x" in refused


def test_with_run_the_rows_are_imported(people: Path) -> None:
    shown = output(people, run=True, **ANSWERS)
    assert "All rows" in shown
    assert sorted(Subscription.objects.values_list("state", flat=True)) == ["active", "unsubscribed"]


def test_columns_that_are_not_imported_are_named(tmp_path: Path) -> None:
    make_newsletter()
    file = tmp_path / "people.csv"
    file.write_text("email,status,Street\n" + "ada@example.org,active,\n" * 1001 + "ben@example.org,active,Quay 1\n")
    found = output(file, **ANSWERS)
    assert "these columns are not imported (--map imports them): Street" in found


def test_missing_answers_are_listed_with_their_options(people: Path) -> None:
    with pytest.raises(CommandError, match=r"\(--proof\)"):
        output(people)
    assert not Import.objects.exists()


def test_columns_can_be_mapped_by_name(people: Path) -> None:
    people.write_text("who,status,Boat\ngus@example.org,active,Elster\n")
    output(people, map=["who=address", "Boat=field:boat"], run=True, **ANSWERS)
    assert Subscription.objects.get().field_values.get().text == "Elster"


def test_a_file_that_cannot_be_read_is_named(people: Path) -> None:
    people.write_text('email,name\na@example.org,"Ada\n')
    with pytest.raises(CommandError, match="unclosed quote"):
        output(people, **ANSWERS)


def test_ctrl_c_pauses_and_resume_continues(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = ImportWorker.advance

    def interrupted(worker: ImportWorker, pk: int) -> bool:
        if Import.objects.get(pk=pk).state == ImportState.RUNNING:
            raise KeyboardInterrupt
        return advance(worker, pk)

    monkeypatch.setattr(ImportWorker, "advance", interrupted)
    with pytest.raises(CommandError, match="Continue with --resume"):
        output(people, run=True, **ANSWERS)
    monkeypatch.undo()
    stored = Import.objects.get()
    assert stored.state == ImportState.PAUSED
    output(resume=stored.pk)
    assert Subscription.objects.count() == 2


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("E-mial=address", "There is no column “E-mial”. Columns: email, status."),
        ("3=note", "There is no column “3”"),
        ("0=note", "There is no column “0”"),
        ("=note", "COLUMN=TARGET"),
        ("email", "COLUMN=TARGET"),
        ("status=elsewhere", "not a target"),
        ("status=attributes", "not a target"),
        ("status=field:", "not a key"),
        ("status=field:My Boat", "not a key"),
        ("status=field:first_name", "not a key"),
        ("status=field:" + "b" * 41, "not a key"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(assignment: str, sentence: str, people: Path) -> None:
    with pytest.raises(CommandError, match=re.escape(sentence)):
        output(people, map=[assignment], run=True, **ANSWERS)
    assert not Import.objects.exists()
    assert not CustomField.objects.exists()


def test_a_state_is_for_the_tables_that_do_not_tell_it(people: Path, tmp_path: Path) -> None:
    header = b"Email Address,MEMBER_RATING,OPTIN_TIME,CC,REGION,LAST_CHANGED,LEID,EUID\n"
    path = tmp_path / "export.zip"
    path.write_bytes(
        zipped(
            {
                "unsubscribed_members_export_1.csv": header + b"hana@example.org,2,,,,,1,a\n",
                "vip_members_export_1.csv": header + b"gus@example.org,2,,,,,2,b\n",
            }
        )
    )
    output(path, state="active", run=True, **ANSWERS)
    rows = Subscription.objects.values_list("subscriber__canonical", "state")
    assert dict(rows) == {"gus@example.org": "active", "hana@example.org": "unsubscribed"}


def test_a_statement_that_is_used_again_is_shown(people: Path) -> None:
    output(people, run=True, **ANSWERS)
    assert ANSWERS["statement"] in output(people, proof_date="2024-03-02")
    assert "had the same columns" not in output(people, **ANSWERS)


def test_a_file_whose_name_is_not_utf_8_is_imported(people: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(people.parent) + b"/people-\xff.csv"))
    output(people.rename(path), run=True, **ANSWERS)
    assert Import.objects.get().file_name == "people-?.csv"
