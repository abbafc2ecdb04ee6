"""manage.py configure: asks for the settings, makes the secrets, and writes `.env`.

It runs before there is a valid configuration: `manage.py` gives it settings of its own.
"""

from __future__ import annotations

import getpass
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.config import answers, env_file
from newsletter.config.environment import env_file_path
from newsletter.config.settings_text import env_example
from subscribers.models import secret_fingerprint

#: What an optional setting is emptied with, and a value that is read from standard input, one line each.
NOTHING = FROM_INPUT = "-"

FIRST_STEPS = "manage.py migrate, then manage.py createsuperuser."
AFTER_CHANGES = "restart the web server and all workers. With another DATABASE_URL, run manage.py migrate first."
#: What to do about a database that was used with another SUPPRESSION_SECRET.
DIFFERENT_SUPPRESSIONS = (
    "Warning: this database has been used with another SUPPRESSION_SECRET. Its suppressed addresses would not be "
    "recognised, so nothing is sent. Edit the file: set SUPPRESSION_SECRET to its former value, from a backup of the "
    "file. Only if it is lost, run manage.py resume_sending --lost-suppression-secret after migrate."
)


class Command(BaseCommand):
    """Create or edit the file of settings."""

    help = (
        "Creates .env, or edits it: asks for each setting, checks each answer at once, and makes the secrets. Present "
        "secrets are kept. With NAME=value or --defaults it asks nothing."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Values, which file, and what to ask for."""
        parser.add_argument(
            "values", nargs="*", metavar="NAME=value", help="a setting; NAME=- reads it from a line of standard input"
        )
        parser.add_argument("--defaults", action="store_true", help="ask nothing; every other setting has its default")
        parser.add_argument("--all", action="store_true", help="ask for every setting")
        parser.add_argument("--group", default="", help="a group that may read the file, too (mode 640 instead of 600)")
        parser.add_argument("--file", type=Path, default=env_file_path(), help="the file (default: %(default)s)")
        parser.add_argument(
            "--skip-database-test", action="store_true", help="do not connect to the database that is set"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, ask or take, check, and write; nothing is written if anything is wrong."""
        path: Path = options["file"]
        try:
            text = env_file.read_text(path)
            problems = env_file.check_env_file(path)
        except env_file.UnreadableEnvFile as error:
            raise CommandError(str(error)) from error
        if problems:
            raise CommandError("\n".join(problems))
        before = env_file.read_values(text or "")
        entered = self._entered(options["values"], before)
        values = {**before, **self._made(before, entered, is_new=text is None), **entered}
        tests_database = not options["skip_database_test"]
        if entered or options["defaults"]:
            values = self._completed(values)
            self._check(values, tests_database=tests_database)
        else:
            self.stdout.write(f"Settings are written to {path}. Enter keeps the value in brackets; - empties it.\n")
            values = self._interview(values, ask_all=options["all"], tests_database=tests_database)
        changes = answers.changes(before, values)
        self._write(path, env_example() if text is None else text, changes, options["group"])
        if tests_database and self._has_other_secret(values):
            self.stderr.write(DIFFERENT_SUPPRESSIONS)

    def _entered(self, arguments: list[str], before: dict[str, str]) -> dict[str, str]:
        pairs = [argument.partition("=") for argument in arguments]
        known = answers.setting_names()
        for name, equals, _value in pairs:
            if not equals or name not in known:
                raise CommandError(f"“{name}” is not NAME=value with the name of a setting. See .env.example.")
        entered = {name: sys.stdin.readline().strip() if value == FROM_INPUT else value for name, _, value in pairs}
        if refused := answers.changed_secrets(before, entered.items()):
            raise CommandError("\n".join(refused))
        return entered

    def _made(self, before: dict[str, str], entered: dict[str, str], *, is_new: bool) -> dict[str, str]:
        """Secrets that are missing. An existing file without a token for metrics is meant to be so."""
        made = answers.generated({**before, **entered})
        return {name: value for name, value in made.items() if is_new or name != "METRICS_TOKEN"}

    def _completed(self, values: dict[str, str]) -> dict[str, str]:
        missing = {name: answers.default_of(name, values) for name in answers.asked(values) if not values.get(name)}
        return {**values, **{name: value for name, value in missing.items() if value}}

    def _check(self, values: dict[str, str], *, tests_database: bool) -> None:
        errors = [f"{name}: {sentence}" for name, sentence in answers.errors_in(values).items()]
        if not errors and tests_database and (problem := self._database_problem(values)):
            errors = [f"DATABASE_URL: {problem} (--skip-database-test writes it nevertheless)"]
        if errors:
            raise CommandError("Nothing was written.\n" + "\n".join(errors))

    def _database_problem(self, values: dict[str, str]) -> str:
        return answers.database_problem(_database_url(values))

    def _has_other_secret(self, values: dict[str, str]) -> bool:
        """Whether suppressed addresses are stored under another secret than the one in the file."""
        recorded = answers.recorded_secret_fingerprint(_database_url(values))
        return bool(recorded) and recorded != secret_fingerprint(values["SUPPRESSION_SECRET"])

    def _interview(self, values: dict[str, str], *, ask_all: bool, tests_database: bool) -> dict[str, str]:
        done: set[str] = set()
        while True:
            names = answers.setting_names() if ask_all else answers.asked(values)
            left = [name for name in names if name not in done and name not in answers.GENERATED]
            if not left:
                break
            values = {**values, left[0]: self._ask(left[0], values, tests_database=tests_database)}
            done.add(left[0])
        self._check(values, tests_database=False)
        return values

    def _ask(self, name: str, values: dict[str, str], *, tests_database: bool) -> str:
        """One answer, asked again until it is valid."""
        present, default = values.get(name, ""), answers.default_of(name, values)
        self.stdout.write(f"\n{name}\n{textwrap.indent(textwrap.fill(answers.description(name), 96), '  ')}")
        if hint := answers.hint(name, values):
            self.stdout.write(f"  {hint}")
        while True:
            shown = answers.masked(name, present or default) or "empty"
            answer = self._read(name)(f"  [{shown}]: ").strip()
            value = "" if answer == NOTHING else answer or present or default
            problem = answers.errors_in({**values, name: value}).get(name, "")
            if not problem and name == "DATABASE_URL" and tests_database:
                problem = answers.database_problem(value or default)
                if problem and answer == "" and present:
                    self.stdout.write(f"  Kept, but: {problem}")
                    problem = ""
            if not problem:
                return value
            self.stdout.write(f"  {name} {problem}")

    def _read(self, name: str) -> Callable[[str], str]:
        """How to read an answer: a secret is not shown in a terminal."""
        hides = answers.is_secret(name) and name != "DATABASE_URL" and sys.stdin.isatty()
        read = getpass.getpass if hides else input

        def ask(prompt: str) -> str:
            try:
                return read(prompt)
            except EOFError:
                raise CommandError(
                    "No answer, nothing was written. Use NAME=value or --defaults in a script."
                ) from None
            except KeyboardInterrupt:
                raise CommandError("Interrupted, nothing was written.") from None

        return ask

    def _write(self, path: Path, text: str, changes: dict[str, str], group: str) -> None:
        try:
            env_file.write(path, env_file.edit(text, changes), group=group)
        except env_file.UnwritableValue as error:
            raise CommandError(f"Nothing was written. {error}") from error
        except LookupError as error:
            raise CommandError(f"Nothing was written: there is no group “{group}”.") from error
        except OSError as error:
            raise CommandError(f"{path} cannot be written ({error.strerror}).") from error
        made = sorted(changes.keys() & answers.GENERATED.keys())
        mode = f"{path.stat().st_mode & 0o777:o}"
        self.stdout.write(f"\nWrote {path} (mode {mode}).")
        if changes:
            self.stdout.write(f"Set: {', '.join(changes)}.")
        if made:
            self.stdout.write(f"Made new: {', '.join(made)}. Back up this file: without it, old links stop working.")
        is_new = "SECRET_KEY" in made
        self.stdout.write(f"Next: {FIRST_STEPS if is_new else AFTER_CHANGES}")


def _database_url(values: dict[str, str]) -> str:
    return values.get("DATABASE_URL") or answers.default_of("DATABASE_URL", values)
