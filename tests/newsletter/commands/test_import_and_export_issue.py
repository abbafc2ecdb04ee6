"""The commands `import_issue` and `export_issue`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from newsletter.content.issue_file import write_issue_file
from newsletter.content.store import load_content
from newsletter.models import Issue
from tests.newsletter.content.harbour_notes import ISSUE_41, make_draft
from tests.publications import make_newsletter, schedule_send

pytestmark = pytest.mark.django_db
DIGEST = "The Harbour Log — 2026-07-01#\n\nDeep dives#\n\nCranes · Mast They are back.\n\nTides · Quay They are late.\n"


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def failed_run(*arguments: str) -> tuple[str, str]:
    err = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(*arguments, stderr=err)
    assert caught.value.returncode == 1
    return str(caught.value), err.getvalue()


def test_importing_a_digest_prints_counts_and_warnings(tmp_path: Path) -> None:
    make_newsletter(known_sources="Mast")
    file = tmp_path / "digest.txt"
    file.write_text(DIGEST, encoding="utf-8")

    out, err = run("import_issue", str(file))

    assert out == (
        "Created: “The Harbour Log — 2026-07-01” (the-harbour-log-2026-07-01) of Harbour Notes, "
        "revision 1, with 1 section, 2 stories and 0 categories.\n"
    )
    assert err == f"{file}:7: warning: The source “Quay” was guessed: no known source follows the “·”.\n"
    assert run("import_issue", str(file))[0].startswith("Unchanged: ")


def test_an_invalid_file_lists_every_error_and_changes_nothing(tmp_path: Path) -> None:
    make_newsletter()
    file = tmp_path / "issue.md"
    file.write_text("---\ntitel: T\n---\n## News\n### [A](ftp://a.example) · B\n", encoding="utf-8")

    sentence, listed = failed_run("import_issue", str(file))

    assert sentence == "Nothing was imported: 3 errors to fix."
    assert [line.split(": ")[0] for line in listed.splitlines()] == [
        f"{file}:1",
        f"{file}:1",
        f"{file}:2",
        f"{file}:5",
        f"{file}:5",
    ]
    assert not Issue.objects.exists()


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path: Path) -> None:
    make_newsletter()
    file = tmp_path / "issue.md"
    file.write_bytes("# Häfen 2026-07-01\n".encode("latin-1"))

    assert "issue.md:1: error: This line is not UTF-8" in failed_run("import_issue", str(file))[1]


def test_an_import_never_changes_an_issue_past_draft(tmp_path: Path) -> None:
    issue = make_draft()
    schedule_send(issue)
    file = tmp_path / "issue.md"
    file.write_text(write_issue_file(ISSUE_41).replace("Two stories", "Three stories"), encoding="utf-8")

    assert "the issue is no longer a draft" in failed_run("import_issue", str(file))[0]
    assert load_content(Issue.objects.get()) == ISSUE_41


def test_an_exported_issue_imports_as_the_same_issue(tmp_path: Path) -> None:
    make_draft()
    file = tmp_path / "issue.md"

    assert run("export_issue", "issue-41", "--output", str(file))[0].startswith("Exported “Harbour Notes")
    assert run("import_issue", str(file))[0].startswith("Unchanged: ")
    assert run("export_issue", "issue-41")[0] == file.read_text(encoding="utf-8") == write_issue_file(ISSUE_41)


def test_the_format_can_be_given_if_it_cannot_be_detected(tmp_path: Path) -> None:
    make_newsletter()
    file = tmp_path / "words.txt"
    file.write_text("just words", encoding="utf-8")

    assert "This file is not an issue" in failed_run("import_issue", str(file))[1]
    assert "No line ends in #" in failed_run("import_issue", str(file), "--format", "digest")[1]


def test_with_two_newsletters_the_option_is_required(tmp_path: Path) -> None:
    file = tmp_path / "digest.txt"
    file.write_text(DIGEST, encoding="utf-8")
    assert "no newsletter yet" in failed_run("import_issue", str(file))[0]

    make_newsletter()
    make_newsletter("quay-notes")
    assert "Choose one with --newsletter: harbour-notes, quay-notes." in failed_run("import_issue", str(file))[0]
    assert "There is no newsletter “mast”" in failed_run("import_issue", str(file), "--newsletter", "mast")[0]

    run("import_issue", str(file), "--newsletter", "quay-notes")
    assert Issue.objects.get().newsletter.slug == "quay-notes"


def test_a_missing_file_or_issue_is_reported(tmp_path: Path) -> None:
    make_newsletter()

    assert "cannot be read: No such file" in failed_run("import_issue", str(tmp_path / "gone.md"))[0]
    assert "Harbour Notes has no issue “gone”" in failed_run("export_issue", "gone")[0]


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    make_newsletter()
    file = tmp_path / "large.md"
    with file.open("wb") as sparse:
        sparse.truncate(20_000_000)

    message, listed = failed_run("import_issue", str(file))

    assert message == "Nothing was imported: 1 error to fix."
    assert "The file has 20.0 MB; the maximum is 1 MB" in listed
