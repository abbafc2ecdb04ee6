"""Bad files, through the command and through the wizard: a sentence each, no traceback, and nothing is kept."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from subscribers.models import Import, ImportPart, ImportState, StagedRow, Subscription
from tests.publications import make_newsletter
from tests.subscribers.imports.importing import STATEMENT, states, work
from tests.subscribers.imports.test_source import zipped

pytestmark = pytest.mark.django_db

HEADER = b"email,status,first_name\n"
GOOD = b"gus@example.org,active,Gus\n"

#: Name, content and sentence of files that are refused as a whole.
FILES = {
    "unbalanced quotes": ("a.csv", HEADER + b'gus@example.org,active,"Gus\n' + GOOD * 3, "Row 2 has an unclosed quote"),
    "a header of 10,000 columns": ("a.csv", b",".join([b"email"] * 10_000) + b"\n" + GOOD, "Row 1 has 10000 columns"),
    "no line break": ("a.csv", b"gus@example.org," * 250_000, "Row 1 is longer than"),
    "no line break after some rows": ("a.csv", HEADER + GOOD * 3 + b"a" * 4_000_000, "Row 5 is longer than"),
    "a ZIP bomb": ("a.zip", zipped({"a.csv": b"a" * 30_000_000}), "unpacks to far more than its size"),
    "a damaged ZIP": ("a.zip", zipped({"a.csv": HEADER + GOOD})[:60], "The ZIP file is damaged"),
    "a ZIP without a table": ("a.zip", zipped({"readme.md": b"#"}), "contains no CSV file"),
    "a ZIP with many tables": (
        "a.zip",
        zipped({f"{number}.csv": HEADER + GOOD for number in range(51)}),
        "contains 51 tables. At most 50",
    ),
    "a damaged spreadsheet": ("a.xlsx", zipped({"xl/workbook.xml": b"<broken"}), "The spreadsheet cannot be read"),
    "an old spreadsheet": ("a.xls", b"\xd0\xcf\x11\xe0" + b"\0" * 600, "an old format or a password"),
    "mixed encodings": (
        "a.csv",
        HEADER + "ada@example.org,active,Žofie\n".encode() * 3 + b"ben@example.org,active,Ren\xe9\n",
        "Row 5 is encoded differently",
    ),
    "a picture": ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, "not a text file"),
    "nothing": ("a.csv", b"", "file is empty"),
}

#: Rows that are refused by themselves, with the sentence; the row after them is imported.
ROWS = {
    "a formula": (b"=HYPERLINK(1),active,\n", "Not a valid address"),
    "NUL": (b"ida@example.org,active,I\0da\n", "The row contains a NUL character"),
    "two people in one row": (b'"ada@example.org, ben@example.org",active,Ada\n', "Two subscribers in one row"),
    "10,000 columns": (b"ida@example.org,active" + b",x" * 10_000 + b"\n", "more columns than the first row"),
    "no address": (b",active,Nobody\n", "The row has no address"),
    "an unknown state": (b"ida@example.org,elsewhere,Ida\n", "The state is not known"),
}

ANSWERS = {"proof": "double_opt_in_elsewhere", "proof_date": "2024-03-02", "statement": STATEMENT}


@pytest.fixture
def editor(client: Client) -> Client:
    """A client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


def by_command(folder: Path, name: str, data: bytes, **options: object) -> str:
    """What the command prints."""
    path, out = folder / name, io.StringIO()
    path.write_bytes(data)
    call_command("import_subscribers", str(path), stdout=out, **(ANSWERS | options))
    return out.getvalue()


def uploaded_by(editor: Client, name: str, data: bytes) -> str:
    """The error at the file, or nothing."""
    response = editor.post(
        reverse("admin:subscribers_import_add"),
        {"mailing_list": make_newsletter().pk, "file": SimpleUploadedFile(name, data)},
    )
    if response.status_code == 302:
        return ""
    assert response.status_code == 200
    return str(response.context["form"].errors["file"])


def answer(editor: Client, stored: Import, **changed: str) -> object:
    """The second step, with the proof filled in; its response."""
    page = reverse("admin:subscribers_import_columns", args=[stored.pk])
    form = editor.get(page).context["form"]
    data = {bound.name: bound.value() or "" for bound in form}
    return editor.post(page, data | ANSWERS | changed)


def assert_nothing_is_kept() -> None:
    assert not Import.objects.exists()
    assert not ImportPart.objects.exists()
    assert not StagedRow.objects.exists()


@pytest.mark.parametrize(("name", "data", "sentence"), FILES.values(), ids=FILES)
def test_the_command_says_why_a_file_cannot_be_imported(name: str, data: bytes, sentence: str, tmp_path: Path) -> None:
    make_newsletter()
    with pytest.raises(CommandError, match=sentence):
        by_command(tmp_path, name, data)
    assert_nothing_is_kept()


@pytest.mark.parametrize(("name", "data", "sentence"), FILES.values(), ids=FILES)
def test_the_wizard_says_why_a_file_cannot_be_imported(name: str, data: bytes, sentence: str, editor: Client) -> None:
    assert sentence in uploaded_by(editor, name, data)
    assert_nothing_is_kept()


@pytest.mark.parametrize(("row", "sentence"), ROWS.values(), ids=ROWS)
def test_the_command_refuses_a_bad_row_with_its_reason_and_imports_the_next_one(
    row: bytes, sentence: str, tmp_path: Path
) -> None:
    make_newsletter()
    refused = tmp_path / "refused.csv"
    shown = by_command(tmp_path, "a.csv", HEADER + row + GOOD, run=True, refused=str(refused))
    assert "Refused" in shown
    assert sentence in refused.read_text()
    assert states() == {"gus@example.org": "active"}


@pytest.mark.parametrize(("row", "sentence"), ROWS.values(), ids=ROWS)
def test_the_wizard_shows_why_a_row_is_refused(row: bytes, sentence: str, editor: Client) -> None:
    assert uploaded_by(editor, "a.csv", HEADER + row + GOOD) == ""
    stored = Import.objects.get()
    answer(editor, stored)
    work(stored)
    assert stored.state == ImportState.CHECKED, stored.detail
    review = editor.get(reverse("admin:subscribers_import_review", args=[stored.pk])).content.decode()
    assert sentence in review
    assert "Import 1 row" in review


def test_columns_with_the_same_name_and_addresses_with_names_are_imported(editor: Client) -> None:
    data = b"email,status,note,note\nGus Doe <gus@example.org>,active,a,b\n"
    assert uploaded_by(editor, "a.csv", data) == ""
    stored = Import.objects.get()
    answer(editor, stored, **{"column-2": "ignore", "column-3": "note"})
    editor.post(reverse("admin:subscribers_import_run", args=[work(stored).pk]))
    work(stored)
    subscription = Subscription.objects.select_related("subscriber").get()
    assert (subscription.subscriber.address, subscription.subscriber.first_name) == ("gus@example.org", "Gus")


SUPPRESSIONS = b"email,reason,created\nada@example.org,bounce,2024-03-02\nben@example.org,spam,2024-03-02\n"


def test_the_command_does_not_take_an_export_of_suppressions_for_subscribers(tmp_path: Path) -> None:
    make_newsletter()
    with pytest.raises(CommandError, match=r"must not be (mailed|subscribed)"):
        by_command(tmp_path, "suppression_list.csv", SUPPRESSIONS, state="active")
    assert_nothing_is_kept()


def test_the_wizard_does_not_take_an_export_of_suppressions_for_subscribers(editor: Client) -> None:
    assert uploaded_by(editor, "suppression_list.csv", SUPPRESSIONS) == ""
    response = answer(editor, Import.objects.get(), default_state="active")
    assert response.status_code == 200  # type: ignore[attr-defined]
    assert "must not be" in str(response.context["form"].errors)  # type: ignore[attr-defined]


def test_a_large_file_without_a_line_break_needs_little_memory(tmp_path: Path) -> None:
    """The limit of the size is another test: this file is below it."""
    make_newsletter()
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        for _ in range(60):
            file.write(b"gus@example.org," * 62_500)
    tracemalloc.start()
    try:
        with pytest.raises(CommandError, match="Row 1 is longer than"):
            call_command("import_subscribers", str(path), **ANSWERS)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert_nothing_is_kept()


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, editor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subscribers.imports.files.MAX_FILE_SIZE", 1_000_000)
    make_newsletter()
    data = HEADER + GOOD * 60_000
    with pytest.raises(CommandError, match="The file is larger than 1 MB"):
        by_command(tmp_path, "a.csv", data)
    assert "larger than 1 MB" in uploaded_by(editor, "a.csv", data)
    assert_nothing_is_kept()
