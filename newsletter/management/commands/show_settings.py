"""manage.py show_settings: prints the documentation of every setting, or writes it to the files that hold it."""

from __future__ import annotations

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.config.settings_text import env_example, settings_table


class Command(BaseCommand):
    """Print the documentation of all settings, never their values."""

    help = "Prints the documentation of every setting. With --write, updates .env.example and the table in README.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help="update .env.example and README.md")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["write"]:
            self.stdout.write(env_example())
            return
        (PROJECT_ROOT / ".env.example").write_text(env_example())
        readme = PROJECT_ROOT / "README.md"
        table = re.compile(r"\| setting \|.*?(?=\n\n)", re.DOTALL)
        readme.write_text(table.sub(lambda found: settings_table(), readme.read_text()))
        self.stdout.write("Updated .env.example and the table in README.md.")
