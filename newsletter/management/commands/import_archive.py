"""Import the past issues of another tool, or of a folder of Markdown files."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.archive_import.control import discard, end_interrupted, start_run
from newsletter.archive_import.counts import issues_in, summary
from newsletter.archive_import.engine import ArchiveImportWorker
from newsletter.archive_import.report import csv_header, csv_rows, failures
from newsletter.archive_import.wiring import choose_reader, store_picture
from newsletter.content.archives.choose import READERS
from newsletter.content.archives.files import open_archive
from newsletter.content.archives.item import ArchiveError, ArchiveFiles, ArchiveItem, ArchiveReader, UnreadItem
from newsletter.management.choose import add_newsletter_option, chosen_newsletter
from newsletter.models import ArchiveImport, ArchiveImportState, ArchiveProblem, EntryOutcome, Newsletter

#: Entries between two lines of progress.
PROGRESS_EVERY = 100


class Command(BaseCommand):
    """`import_archive PATH`: past issues become issues here. Run again, it goes on and updates what has changed."""

    help = (
        "Import past issues from a folder, a ZIP file or an export of another tool. Public issues are put on the web "
        "with their old dates, all others become drafts. Nothing is mailed. Importing the same archive again "
        "updates what has changed there, and leaves alone what was changed here."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The archive, the newsletter, and what to do."""
        parser.add_argument("path", help="a folder, a ZIP file, or a JSON, CSV or XML file")
        add_newsletter_option(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
        parser.add_argument("--drafts", action="store_true", help="import all as drafts; put nothing on the web")
        codes = [one.code for one in READERS]
        parser.add_argument("--archive", choices=codes, default="", help="the kind of archive; default: recognised")
        parser.add_argument("--site-url", metavar="URL", default="", help="the old site, to resolve relative links")
        parser.add_argument("--keep-tracking", action="store_true", help="keep the utm_ parameters of links")
        parser.add_argument(
            "--only", metavar="PATTERN", action="append", default=[], help="import only files that match, as 2024/*"
        )
        parser.add_argument("--report", metavar="FILE.csv", help="write a line per file to this CSV file")

    def handle(self, *args: Any, **options: Any) -> None:
        with _quiet_log():
            self._import(options)

    def _import(self, options: dict[str, Any]) -> None:
        newsletter = chosen_newsletter(options["newsletter"])
        path = Path(options["path"])
        files = _opened(path)
        stored = _new_import(newsletter, path, options)
        worker = ArchiveImportWorker(
            lambda found, site, code: _chosen(found, site, code, options["only"]),
            store_picture=store_picture,
            files=files,
        )
        try:
            self._work(worker, stored)
            if options["dry_run"]:
                self._report(stored, options["report"], is_dry_run=True)
                return
            start_run(stored, by="import", as_drafts=options["drafts"], keeps_tracking=options["keep_tracking"])
            self._work(worker, stored)
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Run the same command again: it goes on.", returncode=1) from None
        finally:
            worker.release(stored.pk)
            if options["dry_run"]:
                discard(stored)
        self._report(stored, options["report"], is_dry_run=False)
        if stored.counts.get(EntryOutcome.FAILED):
            raise CommandError("Some files failed. The lines above say why.", returncode=1)

    def _work(self, worker: ArchiveImportWorker, stored: ArchiveImport) -> None:
        """Work on it until nothing is left to do. Raises CommandError."""
        shown = 0
        while worker.claim(stored.pk):
            worker.advance(stored.pk)
            stored.refresh_from_db()
            is_check = stored.state in (ArchiveImportState.CHECKING, ArchiveImportState.CHECKED)
            done = stored.entry_count if is_check else stored.done_count
            if done // PROGRESS_EVERY > shown // PROGRESS_EVERY:
                shown = done
                self.stdout.write(f"{done:,} read" if is_check else f"{done:,} of {stored.entry_count:,} done")
        stored.refresh_from_db()
        if stored.state == ArchiveImportState.FAILED:
            sentence = stored.detail_sentence or str(ArchiveProblem(stored.problem).label)
            raise CommandError(f"{stored.source_name}: {sentence}", returncode=1)

    def _report(self, stored: ArchiveImport, name: str | None, *, is_dry_run: bool) -> None:
        if name:
            with Path(name).open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(csv_header())
                writer.writerows(csv_rows(stored))
        for line in failures(stored):
            self.stderr.write(f"failed: {line}")
        if not is_dry_run:
            self.stdout.write(f"Import {stored.pk}: {summary(stored.counts)}")
            return
        for entry in stored.entries.filter(published_at__isnull=True, data__isnull=False).order_by("position"):
            self.stderr.write(f"no date: {entry.place}")
        sources = Counter(stored.entries.exclude(date_source="").values_list("date_source", flat=True))
        self.stdout.write("Dates from: " + ", ".join(f"{name} {count:,}" for name, count in sorted(sources.items())))
        self.stdout.write(
            f"Dry run: {_counted(issues_in(stored.expected))} would be here, "
            f"{stored.expected.get('on_web', 0):,} of them on the web. Nothing was changed."
        )


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Without the two log lines for each issue: the report has one."""
    log = logging.getLogger("newsletter.content")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def _counted(count: int) -> str:
    return f"{count:,} {'issue' if count == 1 else 'issues'}"


def _opened(path: Path) -> ArchiveFiles:
    """Raises CommandError."""
    if not path.exists():
        raise CommandError(f"{path} does not exist.", returncode=1)
    try:
        return open_archive(path)
    except ArchiveError as error:
        raise CommandError(f"{path}: {error}", returncode=1) from error


def _new_import(newsletter: Newsletter, path: Path, options: dict[str, Any]) -> ArchiveImport:
    """The row of this run; earlier ones that were interrupted end."""
    name = str(path.resolve()).encode(errors="replace").decode()[-500:]
    end_interrupted(newsletter, name)
    return ArchiveImport.objects.create(
        newsletter=newsletter,
        source_name=name,
        is_local=True,
        site_url=options["site_url"],
        archive=options["archive"],
        keeps_tracking=options["keep_tracking"],
        as_drafts=options["drafts"],
    )


def _chosen(files: ArchiveFiles, site_url: str, code: str, patterns: list[str]) -> ArchiveReader:
    archive_reader = choose_reader(files, site_url, code)
    return _Only(archive_reader, patterns) if patterns else archive_reader


class _Only:
    """An archive reader that leaves out what does not match."""

    def __init__(self, whole: ArchiveReader, patterns: list[str]) -> None:
        self.code = whole.code
        self._whole, self._patterns = whole, patterns

    def fits(self, files: ArchiveFiles) -> bool:
        """As the whole."""
        return self._whole.fits(files)

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """What there is at places that match."""
        for item in self._whole.items(files):
            names = (item.place, PurePosixPath(item.place).name)
            if any(fnmatch(name, pattern) for name in names for pattern in self._patterns):
                yield item
