"""Check a theme and print everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.preflight.findings import Severity
from newsletter.preflight.of_theme import theme_findings
from newsletter.rendering import PlaceholderTemplate, load_theme
from newsletter.rendering.sample_issue import sample_values
from newsletter.rendering.theme_check import check_theme, render_sample_issue


class Command(BaseCommand):
    """`check_theme NAME`: exit status 1 if an issue could not go out in it."""

    help = "Check a theme: its file, colours, styles and blocks, and what pre-flight says about every block in it."

    def add_arguments(self, parser: CommandParser) -> None:
        """The theme, and where to write what it looks like."""
        parser.add_argument("name", help="the theme's name: that of its folder")
        parser.add_argument("--write-preview", metavar="FILE.html", type=Path, help="write an issue with every block")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, print, and write the preview."""
        name, preview = options["name"], options["write_preview"]
        faults = check_theme(name, settings.THEME_FOLDERS)
        self._refuse(name, [str(fault) for fault in faults])
        theme = load_theme(name, settings.THEME_FOLDERS)
        rendered = render_sample_issue(theme)
        findings = theme_findings(rendered)
        for finding in findings:
            if finding.severity is not Severity.ERROR:
                self.stdout.write(f"Worth a look: {finding.sentence}")
        self._refuse(name, [one.sentence for one in findings if one.severity is Severity.ERROR])
        self.stdout.write(
            f"{theme.label}: nothing to fix. Every block in one issue: {len(rendered.html) / 1000:.0f} KB."
        )
        if preview:
            filled = PlaceholderTemplate.split(rendered.html.encode(), rendered.nonce).fill(sample_values(rendered))
            try:
                preview.write_bytes(filled)
            except OSError as error:
                raise CommandError(f"The preview could not be written to {preview}: {error.strerror}.") from error
            self.stdout.write(f"Written to {preview}.")

    def _refuse(self, name: str, faults: list[str]) -> None:
        """Print the faults and end, if there are any."""
        for fault in faults:
            self.stdout.write(fault)
        if faults:
            raise CommandError(f"The theme “{name}” cannot be used: {len(faults)} to fix.", returncode=1)
