"""DMARC reports in the database: each once, and who sends as our domains."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from newsletter.deliverability.dmarc_errors import DmarcError
from newsletter.deliverability.dmarc_reports import Stored, is_ours, report_counts, sources, store_file, weeks
from newsletter.models import DmarcReport, DmarcRow
from subscribers.privacy.retention import overdue_rules, purge_expired
from tests.newsletter.deliverability.reports import DAY, record, report, yesterday
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def _a_newsletter_sends_from_mail_example_org() -> None:
    make_newsletter()


def test_the_same_report_twice_changes_nothing() -> None:
    assert store_file(report(record(count=7)), by="edda") == Stored(added=1, known=0, mails=7)
    assert store_file(gzip.compress(report(record(count=9))), by="edda") == Stored(added=0, known=1, mails=0)
    assert [row.count for row in DmarcRow.objects.all()] == [7]
    assert store_file(report(org="Other Mail"), by="edda").added == 1


def test_a_file_with_a_wrong_report_stores_none_of_its_reports() -> None:
    from tests.newsletter.deliverability.test_dmarc_files import zipped

    with pytest.raises(DmarcError):
        store_file(zipped(("1.xml", report()), ("2.xml", report(id="r-2", domain="other.example"))), by="edda")
    assert not DmarcReport.objects.exists()


@pytest.mark.parametrize(
    ("domain", "ours"),
    [
        ("mail.example.org", True),
        ("example.org", True),
        ("deep.mail.example.org", True),
        ("news.example.org", False),
        ("otherexample.org", False),
        ("org", False),
    ],
)
def test_only_reports_about_the_domains_of_senders_are_kept(domain: str, ours: bool) -> None:
    assert is_ours(domain) is ours


def test_a_report_that_is_older_than_reports_are_kept_is_refused() -> None:
    begin = yesterday() - (settings.RETENTION_DAYS["dmarc_reports"] + 2) * DAY
    with pytest.raises(DmarcError, match="kept for 400 days") as caught:
        store_file(report(begin=begin), by="edda")
    assert caught.value.code == "too_old"


def test_unknown_senders_come_first_and_aligned_ones_are_joined_by_their_return_path() -> None:
    store_file(
        report(
            record("192.0.2.1", 500),
            record("192.0.2.2", 300),
            record("198.51.100.4", 20, spf="fail", dkim="pass"),
            record("203.0.113.9", 5, spf="fail", dkim="fail"),
            record("203.0.113.77", 80, spf="fail", dkim="fail", disposition="quarantine"),
        ),
        by="edda",
    )
    found = sources(LONG_AGO)
    assert [(source.name, source.mails, source.is_aligned) for source in found] == [
        ("203.0.113.77", 80, False),
        ("203.0.113.9", 5, False),
        ("bounce.mail.example.org", 800, True),
        ("mail.example.org", 20, True),
    ]
    assert (found[0].stopped, found[1].stopped) == (80, 0)
    assert (found[2].addresses, found[2].spf, found[2].dkim) == (2, 1.0, 1.0)
    assert (found[3].spf, found[3].dkim) == (0.0, 1.0)


def test_weeks_are_summed_and_begin_on_monday() -> None:
    for number in range(3):
        rows = (record(count=90), record("203.0.113.9", 10, spf="fail", dkim="fail"))
        store_file(report(*rows, id=f"r-{number}", begin=yesterday() - number * 7 * DAY), by="edda")
    found = weeks(LONG_AGO)
    assert [(week.mails, week.share) for week in found] == [(100, 0.9)] * 3
    assert all(week.monday.weekday() == 0 for week in found)
    assert [week.monday for week in found] == sorted((week.monday for week in found), reverse=True)
    assert report_counts(LONG_AGO) == (3, 1)
    assert report_counts(timezone.now()) == (0, 0)


def test_reports_are_removed_with_their_rows_after_their_time(settings: object) -> None:
    store_file(report(), by="edda")
    store_file(report(id="r-2", begin=yesterday() - 90 * DAY), by="edda")
    kept = dict(settings.RETENTION_DAYS) | {"dmarc_reports": 60}  # type: ignore[attr-defined]
    settings.RETENTION_DAYS = kept  # type: ignore[attr-defined]
    assert "dmarc_reports" in {rule.name for rule in overdue_rules(timezone.now())}
    purge_expired()
    assert [row.report.report_id for row in DmarcRow.objects.select_related("report")] == ["r-1"]
    assert overdue_rules(timezone.now()) == []


def test_the_command_adds_files_and_names_the_one_that_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.xml.gz", tmp_path / "bad.xml"
    good.write_bytes(gzip.compress(report(record(count=7))))
    bad.write_bytes(b"<html/>")
    with pytest.raises(CommandError, match="Files that were not added: 2"):
        call_command("import_dmarc_reports", str(good), str(bad), str(tmp_path / "missing.xml"))
    words = capsys.readouterr()
    assert "good.xml.gz: reports added: 1; known before: 0; mails: 7" in words.out
    assert "bad.xml: The XML is not a DMARC aggregate report" in words.err
    assert "missing.xml: " in words.err
    assert DmarcReport.objects.get().by == "command"
