"""Check a theme and print its errors and warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.preflight.families import check_theme_rendering
from newsletter.preflight.findings import Severity
from newsletter.rendering import PlaceholderTemplate, load_theme
from newsletter.rendering.sample_issue import sample_values
from newsletter.rendering.theme_check import check_theme, render_sample_issue


class Command(BaseCommand):
    """`check_theme NAME`: exit status 1 if no issue with this theme could be sent."""

    help = "Check a theme: its file, colours, styles and blocks, and the result of pre-flight for a sample issue."

    def add_arguments(self, parser: CommandParser) -> None:
        """The theme and the file for a preview."""
        parser.add_argument("name", help="name of the theme, which is that of its folder")
        parser.add_argument("--write-preview", metavar="FILE.html", type=Path, help="write an issue with every block")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, print, and write the preview."""
        name, preview = options["name"], options["write_preview"]
        faults = check_theme(name, settings.THEME_FOLDERS)
        self._fail(name, [str(fault) for fault in faults])
        theme = load_theme(name, settings.THEME_FOLDERS)
        rendered = render_sample_issue(theme)
        findings = check_theme_rendering(rendered)
        for finding in findings:
            if finding.severity is Severity.WARNING:
                self.stdout.write(f"WARNING: {finding.message}")
        self._fail(name, [finding.message for finding in findings if finding.severity is Severity.ERROR])
        self.stdout.write(
            f"{theme.label}: no errors. An issue with every block has {len(rendered.html) / 1000:.0f} kB."
        )
        if preview:
            filled = PlaceholderTemplate.split(rendered.html.encode(), rendered.nonce).fill(sample_values(rendered))
            try:
                preview.write_bytes(filled)
            except OSError as error:
                raise CommandError(f"Cannot write the preview to {preview}: {error.strerror}.") from error
            self.stdout.write(f"Preview written to {preview}.")

    def _fail(self, name: str, faults: list[str]) -> None:
        """Print the errors, if there are any, and exit."""
        for fault in faults:
            self.stdout.write(fault)
        if faults:
            raise CommandError(f"The theme “{name}” cannot be used. Errors: {len(faults)}.", returncode=1)
