"""The import wizard in the admin: three steps, with permissions, errors at the fields, and without JavaScript."""

from __future__ import annotations

import csv
import io

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import translation

from subscribers.imports.control import start_run
from subscribers.imports.engine import ImportWorker
from subscribers.imports.outcomes import total
from subscribers.imports.refused import reason_sentence, refused_header, refused_rows
from subscribers.imports.states import RowState
from subscribers.models import CustomField, FieldValue, Import, ImportState
from subscribers.models import SubscriptionState as State
from tests.people import make_mailing_list
from tests.subscribers.imports.importing import STATEMENT, check, plain_file, run, states, uploaded, work
from tests.subscribers.imports.test_source import zipped

pytestmark = pytest.mark.django_db

ROWS = [
    ("gus@example.org", "active", "Gus", "press"),
    ("hana@example.org", "unsubscribed", "", ""),
    ("x", "active", "", ""),
]
FILE = plain_file(ROWS, ("email", "status", "first_name", "tags"))


@pytest.fixture
def editor(client: Client) -> Client:
    """A client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


def page(stored: Import, name: str) -> str:
    return reverse(f"admin:subscribers_import_{name}", args=[stored.pk])


def upload(client: Client, data: bytes = FILE, name: str = "people.csv") -> Import:
    """The first step."""
    mailing_list = make_mailing_list()
    file = SimpleUploadedFile(name, data)
    response = client.post(reverse("admin:subscribers_import_add"), {"mailing_list": mailing_list.pk, "file": file})
    stored = Import.objects.get()
    assert response["Location"] == page(stored, "columns")
    return stored


def answers(client: Client, stored: Import, **changed: str) -> dict[str, str]:
    """What the second step sends if nothing but the proof is filled in."""
    form = client.get(page(stored, "columns")).context["form"]
    data = {bound.name: bound.value() or "" for bound in form}
    proof = {"proof": "double_opt_in_elsewhere", "proof_date": "2024-03-02", "statement": STATEMENT}
    return data | proof | changed


def test_three_steps_lead_to_imported_subscribers(editor: Client) -> None:
    stored = upload(editor)
    columns = editor.get(page(stored, "columns"))
    assert "gus@example.org" in columns.content.decode()
    response = editor.post(page(stored, "columns"), answers(editor, stored))
    assert response["Location"] == page(stored, "review")
    assert 'http-equiv="refresh"' in editor.get(page(stored, "review")).content.decode()
    work(stored)
    assert stored.state == ImportState.CHECKED, stored.detail
    review = editor.get(page(stored, "review")).content.decode()
    assert "Dry run of 3 rows" in review
    assert "Import 2 rows" in review
    assert "Not a valid address" in review
    assert states() == {}
    editor.post(page(stored, "run"))
    work(stored)
    assert states() == {"gus@example.org": State.ACTIVE, "hana@example.org": State.UNSUBSCRIBED}
    finished = editor.get(page(stored, "review")).content.decode()
    assert "New, active" in finished
    assert "Undo the import" in finished


def test_what_is_missing_is_said_at_its_field(editor: Client) -> None:
    stored = upload(editor)
    data = answers(editor, stored, proof="", statement="") | {"column-0": "ignore"}
    response = editor.post(page(stored, "columns"), data)
    form = response.context["form"]
    assert set(form.errors) == {"column-0", "proof"}
    body = response.content.decode()
    assert "<title>Error:" in body
    assert 'role="alert"' in body
    stored.refresh_from_db()
    assert stored.state == ImportState.UPLOADED


def test_a_file_without_states_asks_for_them(editor: Client) -> None:
    stored = upload(editor, b"email\ngus@example.org\n")
    data = answers(editor, stored)
    response = editor.post(page(stored, "columns"), data | {"default_state": ""})
    assert "default_state" in response.context["form"].errors
    assert editor.post(page(stored, "columns"), data | {"default_state": "unsubscribed"}).status_code == 302
    run(work(stored))
    assert states() == {"gus@example.org": State.UNSUBSCRIBED}


def test_rows_whose_state_the_column_does_not_tell_can_be_answered(editor: Client) -> None:
    """Left empty, they are refused; an answer is possible, also instead of the column."""
    data = b"email,status\ngus@example.org,active\nhana@example.org,\n"
    stored = upload(editor, data)
    body = editor.get(page(stored, "columns")).content.decode()
    assert "Rows without a state" in body
    editor.post(page(stored, "columns"), answers(editor, stored))
    assert total(work(stored).expected, "refused") == 1
    assert answers(editor, stored)["default_state"] == ""
    editor.post(page(stored, "columns"), answers(editor, stored, default_state="unsubscribed"))
    assert answers(editor, work(stored))["default_state"] == "unsubscribed"
    assert not stored.expected.get("refused")
    without = answers(editor, stored) | {"column-1": "ignore"}
    response = editor.post(page(stored, "columns"), without | {"default_state": ""})
    assert set(response.context["form"].errors) == {"default_state"}
    editor.post(page(stored, "columns"), without | {"default_state": "pending"})
    run(work(stored))
    assert states() == {"gus@example.org": State.PENDING, "hana@example.org": State.PENDING}


def test_the_state_that_one_file_of_a_zip_shows_is_no_answer_for_another_one(editor: Client) -> None:
    header = b"Email Address,MEMBER_RATING,OPTIN_TIME,CC,REGION,LAST_CHANGED,LEID,EUID\n"
    files: dict[str, str | bytes] = {
        "subscribed_members_export_1.csv": header + b"gus@example.org,2,,,,,1,a\n",
        "vip_members_export_2.csv": header + b"hana@example.org,2,,,,,2,b\n",
    }
    stored = upload(editor, zipped(files), "export.zip")
    data = answers(editor, stored)
    assert data["default_state"] == ""
    response = editor.post(page(stored, "columns"), data)
    assert set(response.context["form"].errors) == {"default_state"}
    editor.post(page(stored, "columns"), data | {"default_state": "unsubscribed"})
    run(work(stored))
    assert states() == {"gus@example.org": State.ACTIVE, "hana@example.org": State.UNSUBSCRIBED}


def test_a_column_becomes_the_field_that_the_list_has_already(editor: Client) -> None:
    CustomField.objects.create(mailing_list=make_mailing_list(), key="boat", label="Our boat")
    stored = upload(editor, b"email,status,Boat\ngus@example.org,active,Elster\n")
    form = editor.get(page(stored, "columns")).context["form"]
    options = form.fields["column-2"].choices
    assert dict(options)[form["column-2"].value()] == "Field: Our boat"
    assert len({label for _code, label in options}) == len(options)
    assert editor.post(page(stored, "columns"), answers(editor, stored)).status_code == 302
    run(work(stored))
    assert list(FieldValue.objects.values_list("field__label", "text")) == [("Our boat", "Elster")]
    assert CustomField.objects.count() == 1


def test_a_file_that_cannot_be_read_is_an_error_at_the_file(editor: Client) -> None:
    file = SimpleUploadedFile("people.csv", b'email,name\na@example.org,"Ada\n')
    response = editor.post(
        reverse("admin:subscribers_import_add"), {"mailing_list": make_mailing_list().pk, "file": file}
    )
    assert "unclosed quote" in str(response.context["form"].errors["file"])
    assert not Import.objects.exists()


def test_the_mapping_is_remembered_for_files_with_the_same_columns(editor: Client) -> None:
    first = upload(editor)
    editor.post(page(first, "columns"), answers(editor, first) | {"column-2": "note"})
    second = uploaded(FILE)
    shown = editor.get(page(second, "columns"))
    assert "Mapping remembered from" in shown.content.decode()
    assert shown.context["form"]["column-2"].value() == "note"
    assert shown.context["form"]["statement"].value() == STATEMENT


def test_a_reason_quotes_the_word_of_the_file() -> None:
    assert reason_sentence("unknown_state", "asleep") == "The state is not known. The file says “asleep”."
    assert reason_sentence("blocked_there", "blocked").endswith("The file says “blocked”.")
    assert reason_sentence("never_opted_in") == "Never agreed to receive the newsletter."


def test_refused_rows_are_downloaded_with_reasons_and_without_formulas(editor: Client) -> None:
    stored = check(uploaded(plain_file([("=cmd()", "active", "", "", "")])))
    response = editor.get(page(stored, "refused"))
    text = b"".join(response.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    header, refused = list(csv.reader(io.StringIO(text)))
    assert header[:3] == ["File", "Line", "Reason"]
    assert refused[1] == "2"
    assert refused[3] == "'=cmd()"


@pytest.mark.parametrize("language", ["en", "de"])
def test_refused_rows_can_be_mended_and_imported_again(language: str) -> None:
    content = "Email,Status,City\nada@example,active,Bergen\nben@example.org,active,Oslo\n"
    stored = check(uploaded(content.encode()))
    with translation.override(language):
        header, *rows = refused_header(stored), *refused_rows(stored)
    assert header[3:] == ["Email", "Status", "City"]
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    mended = check(uploaded(text.getvalue().replace("ada@example,", "ada@example.org,").encode()))
    assert mended.plan["tables"][0]["mapping"].keys() == {"3", "4", "5"}
    start_run(mended, by="ida")
    work(mended)
    assert states() == {"ada@example.org": "active"}


def test_the_columns_of_refused_rows_are_numbered_where_tables_differ() -> None:
    files: dict[str, str | bytes] = {
        "one.csv": "Email,City\nada@example,Oslo\n",
        "two.csv": "Name,Email\nBen,ben@example\n",
    }
    stored = check(uploaded(zipped(files), "people.zip"), answer=RowState.ACTIVE)
    assert total(stored.expected, "refused") == 2
    assert refused_header(stored)[3:] == ["Column 1", "Column 2"]


def test_the_progress_is_a_fragment_that_is_sent_once(editor: Client) -> None:
    stored = check(uploaded(plain_file([("gus@example.org", "active", "", "", "")])))
    start_run(stored, by="ida")
    first = editor.get(page(stored, "progress"))
    assert 'data-version="running"' in first.content.decode()
    work(stored)
    second = editor.get(page(stored, "progress"))
    assert 'data-version="finished"' in second.content.decode()
    assert editor.get(page(stored, "progress"), headers={"If-None-Match": second["ETag"]}).status_code == 304


def test_an_import_is_paused_resumed_and_undone(editor: Client) -> None:
    stored = check(uploaded(plain_file([("gus@example.org", "active", "", "", "")])))
    editor.post(page(stored, "run"))
    for action, state in (("pause", "paused"), ("resume", "running")):
        editor.post(page(stored, action))
        stored.refresh_from_db()
        assert stored.state == state
        assert editor.get(page(stored, "review")).status_code == 200
    work(stored)
    assert "You cannot undo this" in editor.get(page(stored, "undo")).content.decode()
    editor.post(page(stored, "undo"))
    work(stored)
    assert states() == {}
    assert "Subscriptions removed: 1" in editor.get(page(stored, "review")).content.decode()


def test_an_upload_can_be_deleted_again(editor: Client) -> None:
    stored = upload(editor)
    editor.post(page(stored, "discard"))
    assert not Import.objects.exists()


def test_another_editor_was_faster(editor: Client) -> None:
    stored = run(check(uploaded(plain_file([("gus@example.org", "active", "", "", "")]))))
    response = editor.post(page(stored, "run"), follow=True)
    assert "cannot change to" in response.content.decode()


@pytest.mark.parametrize("name", ["columns", "run", "pause", "resume", "undo", "discard"])
def test_only_those_who_may_import_do(client: Client, name: str) -> None:
    viewer = User.objects.create_user("lou", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_import"))
    client.force_login(viewer)
    stored = check(uploaded(FILE))
    assert client.post(page(stored, name)).status_code == 403
    assert client.get(reverse("admin:subscribers_import_add")).status_code == 403
    review = client.get(page(stored, "review"))
    assert review.status_code == 200
    assert b"Import 2 rows" not in review.content


def test_others_see_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("norm", is_staff=True))
    stored = check(uploaded(FILE))
    for name in ("review", "progress", "refused"):
        assert client.get(page(stored, name)).status_code == 403


def test_the_list_leads_to_what_an_import_needs_next(editor: Client) -> None:
    stored = upload(editor)
    change = reverse("admin:subscribers_import_change", args=[stored.pk])
    assert editor.get(change)["Location"] == page(stored, "columns")
    assert stored.file_name in editor.get(reverse("admin:subscribers_import_changelist")).content.decode()
    check(stored)
    assert editor.get(change)["Location"] == page(stored, "review")
    assert not ImportWorker().claim(stored.pk)
