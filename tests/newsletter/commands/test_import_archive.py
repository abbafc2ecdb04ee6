"""`import_archive PATH`: a dry run, an import with its report, and a second run that changes nothing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from newsletter.archive_import import engine
from newsletter.archive_import.control import end_interrupted
from newsletter.config import failpoints
from newsletter.config.failpoints import Action, Crash, Failpoint, Point
from newsletter.models import ArchiveImport, ArchiveImportState, Issue, IssueState
from newsletter.models.web_pages import public_issues
from tests.newsletter.admin.test_archive_imports import GHOST
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of Ghost with one public post."""
    make_newsletter()
    path = tmp_path / "ghost.json"
    path.write_text(json.dumps(GHOST), encoding="utf-8")
    return path


def run(*arguments: object) -> tuple[str, str]:
    """What the command prints, and its errors."""
    out, err = io.StringIO(), io.StringIO()
    call_command("import_archive", *map(str, arguments), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_dry_run_says_what_would_happen_and_changes_nothing(export: Path) -> None:
    out, err = run(export, "--dry-run")
    assert "Dry run: 1 issue would be here, 1 of them on the web. Nothing was changed." in out
    assert "Dates from: column 1" in out
    assert err == ""
    assert not Issue.objects.exists()
    assert not ArchiveImport.objects.exists()


def test_issues_are_imported_with_a_report(export: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    out, _err = run(export, "--report", report)
    assert "1 of 1 past issue became an issue here: 1 on the web, 0 drafts; 0 failed. 1 link, 0 lost." in out
    assert public_issues().get().slug == "low-water"
    rows = list(csv.reader(io.StringIO(report.read_text(encoding="utf-8"))))
    assert rows[1][1] == "Low water"


def test_a_second_run_changes_nothing(export: Path) -> None:
    run(export)
    revision = Issue.objects.get().revision
    run(export)
    assert ArchiveImport.objects.latest("pk").counts["unchanged"] == 1
    assert Issue.objects.get().revision == revision


def test_all_become_drafts_if_asked(export: Path) -> None:
    run(export, "--drafts")
    assert Issue.objects.get().state == IssueState.DRAFT


def test_only_what_matches_is_imported(export: Path) -> None:
    out, _err = run(export, "--only", "*.md")
    assert "0 of 0" in out


def test_failures_are_listed_and_the_exit_code_is_1(export: Path) -> None:
    broken = json.loads(export.read_text())
    broken["data"]["posts"].append({**broken["data"]["posts"][0], "title": "The same again"})
    export.write_text(json.dumps(broken))
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match="Some files failed") as caught:
        call_command("import_archive", str(export), stdout=out, stderr=err)
    assert caught.value.returncode == 1
    assert "has the same key" in err.getvalue()
    assert "1 of 2 past issues became issues here" in out.getvalue()


def test_a_path_that_is_no_archive_is_refused_with_a_sentence(tmp_path: Path) -> None:
    make_newsletter()
    (tmp_path / "notes.json").write_text("[]")
    with pytest.raises(CommandError, match="This is no archive that can be read"):
        run(tmp_path / "notes.json")
    with pytest.raises(CommandError, match="does not exist"):
        run(tmp_path / "nothing")


@pytest.mark.django_db(transaction=True)
def test_a_command_that_was_killed_goes_on_when_it_is_run_again(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WRITE_ITEMS", 1)
    posts = json.loads(export.read_text())["data"]["posts"]
    many = [{**posts[0], "id": f"{number:024}", "slug": f"post-{number}"} for number in range(5)]
    export.write_text(json.dumps({"data": {"posts": many}}))
    failpoints.arm(Failpoint(point=Point.ARCHIVE_COMMITTED, hit=3, action=Action.RAISE))
    with pytest.raises(Crash):
        run(export)
    failpoints.arm(None)
    assert Issue.objects.count() == 3
    out, _err = run(export)
    assert "5 of 5 past issues became issues here" in out
    assert sorted(public_issues().values_list("slug", flat=True)) == [f"post-{number}" for number in range(5)]
    first, second = ArchiveImport.objects.order_by("pk")
    assert (first.state, first.problem) == (ArchiveImportState.FAILED, "interrupted")
    assert (second.counts["created"], second.counts["unchanged"]) == (2, 3)


def test_a_run_that_was_interrupted_ends_when_the_next_begins(export: Path) -> None:
    newsletter = make_newsletter()
    stored = ArchiveImport.objects.create(newsletter=newsletter, source_name=str(export), is_local=True)
    started = ArchiveImport.objects.create(
        newsletter=newsletter, source_name=str(export), is_local=True, started_at=stored.created_at
    )
    assert end_interrupted(newsletter, str(export)) == 1
    started.refresh_from_db()
    assert (started.state, started.problem) == (ArchiveImportState.FAILED, "interrupted")
    assert not ArchiveImport.objects.filter(pk=stored.pk).exists()
