"""Import subscribers from a file of another tool, or from any table."""

from __future__ import annotations

import contextlib
import csv
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from newsletter.management.choose import chosen_newsletter
from newsletter.sending.mailed import mailed_subscribers
from subscribers.imports.columns import MAX_LABEL, is_field_key
from subscribers.imports.control import WAITING, delete_file, pause, remembered, resume, start_check, start_run
from subscribers.imports.engine import ImportWorker
from subscribers.imports.errors import ImportFileError
from subscribers.imports.files import OpenFile, store_file
from subscribers.imports.outcomes import outcome_lines, total
from subscribers.imports.plan import ImportPlan, ProofKind, Target, TargetKind, guess_mapping, problems
from subscribers.imports.presets import PRESET_LABELS, preset_named, recognise
from subscribers.imports.refused import refused_header, refused_rows
from subscribers.imports.staging import plans_of
from subscribers.imports.states import RowState
from subscribers.imports.table import Table
from subscribers.models import FieldKind, Import, ImportProblem, ImportState, UpdateMode
from subscribers.profile.fields import fields_of

#: Bytes that are read at a time.
BLOCK = 1_000_000


class Command(BaseCommand):
    """`import_subscribers FILE`: a dry run, and with --run the import. Ctrl-C pauses; --resume continues."""

    help = (
        "Import subscribers from a CSV, TSV or XLSX file or a ZIP of CSV files. Without --run nothing is changed: the "
        "command prints what would happen to the rows. Nothing is mailed. Who left, bounced or complained there or "
        "here is never subscribed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The file, the list, and the answers that the wizard asks for."""
        parser.add_argument("file", nargs="?", help="path of the file")
        parser.add_argument("--list", metavar="SLUG", help="the newsletter; required if there is more than one")
        presets = [name for name in PRESET_LABELS if name]
        parser.add_argument("--preset", choices=presets, help="the tool that made the file; default: recognised")
        states = list(RowState.values)
        parser.add_argument("--state", choices=states, help="the state of rows whose state the file does not tell")
        parser.add_argument("--statement", help="how these subscribers agreed, in your words; stored as proof")
        parser.add_argument("--proof", choices=list(ProofKind.values), help="the kind of that agreement")
        parser.add_argument("--proof-date", metavar="DATE", help="when they agreed, if the file does not contain it")
        parser.add_argument(
            "--map",
            metavar="COLUMN=TARGET",
            action="append",
            default=[],
            help="what a column becomes: one of "
            + ", ".join(kind for kind in TargetKind.values if kind not in ("field", "new_field", "attributes"))
            + ", or field:KEY; a column is named by its header or by its number, counted from 1",
        )
        parser.add_argument("--update", choices=list(UpdateMode.values), default="", help="default: fill_empty")
        parser.add_argument("--run", action="store_true", help="import the rows after the dry run")
        parser.add_argument(
            "--refused", metavar="FILE", help="write the refused rows with their reasons to this CSV file"
        )
        parser.add_argument("--resume", metavar="NUMBER", type=int, help="continue the import with this number")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["file"] is None) == (options["resume"] is None):
            raise CommandError("Name a file, or a paused import with --resume.")
        if options["resume"] is not None:
            self._resume(options["resume"])
            return
        stored = self._checked(options)
        self._print(stored, stored.expected)
        if options["refused"]:
            _write_refused(stored, options["refused"])
        if not options["run"]:
            delete_file(stored)
            self.stdout.write("Nothing was changed. Add --run to import these rows.")
            return
        start_run(stored, by="")
        self._finish(stored)

    def _checked(self, options: dict[str, Any]) -> Import:
        """The file after its dry run. Raises CommandError."""
        newsletter = chosen_newsletter(options["list"])
        path = Path(options["file"])
        try:
            stored = store_file(newsletter, _name_of(path), _blocks(path), by="")
            with _deleted_on_error(stored):
                self._plan(stored, options)
                self._work(stored)
        except ImportFileError as error:
            raise CommandError(f"{path.name}: {error}", returncode=1) from error
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.", returncode=1) from error
        if stored.state != ImportState.CHECKED:
            raise CommandError(f"{path.name}: {_problem(stored)}", returncode=1)
        return stored

    def _plan(self, stored: Import, options: dict[str, Any]) -> None:
        """Start the check with the guessed plans and the answers. Raises CommandError with all that is missing."""
        with OpenFile(stored) as file:
            known = remembered(stored, file.source)
            before = plans_of(known) if known and not options["preset"] else []
            plans: list[ImportPlan] = []
            _check_columns(options["map"], file.source.tables)
            for number, table in enumerate(file.source.tables):
                preset = options["preset"]
                found = preset_named(preset, table, stored.file_name) if preset else recognise(table, stored.file_name)
                plan = guess_mapping(table, found)
                if number < len(before) and (last := before[number]) is not None:
                    plan = replace(plan, mapping=last.mapping, proof=last.proof, statement=last.statement)
                plans.append(_answered(plan, table, options, stored))
            if options["state"]:
                plans = _with_state(plans, RowState(options["state"]))
            if known and before and not options["statement"]:
                self.stdout.write(f"Statement of import {known.pk}, which had the same columns: {plans[0].statement}")
            missing = {
                f"  {table.name or stored.file_name}: {sentence} ({_OPTIONS.get(name, '--' + name)})": None
                for table, plan in zip(file.source.tables, plans, strict=True)
                for name, sentence in problems(plan, table, stored.file_name)
            }
            if missing:
                raise CommandError("Answers are missing:\n" + "\n".join(missing), returncode=1)
            self._print_left_out(plans, file.source.tables)
            start_check(stored, plans, file.source, update_mode=options["update"], by="")

    def _print_left_out(self, plans: list[ImportPlan], tables: Sequence[Table]) -> None:
        """Name the columns that are not imported, such as those without a value in the first rows."""
        for plan, table in zip(plans, tables, strict=True):
            names = [name for index, name in enumerate(table.header) if name and index not in plan.mapping]
            if names:
                self.stdout.write(
                    f"{table.name}: these columns are not imported (--map imports them): {', '.join(names)}"
                )

    def _work(self, stored: Import) -> None:
        """Work on it until nothing is left to do."""
        ImportWorker(mailed=mailed_subscribers).finish(stored.pk)
        stored.refresh_from_db()

    def _resume(self, number: int) -> None:
        stored = Import.objects.filter(pk=number).first()
        if stored is None or stored.state not in (ImportState.PAUSED, ImportState.RUNNING):
            raise CommandError(f"There is no paused import with the number {number}.", returncode=1)
        if stored.state == ImportState.PAUSED:
            resume(stored)
        self._finish(stored)

    def _finish(self, stored: Import) -> None:
        """Run the import to its end; Ctrl-C pauses it."""
        try:
            self._work(stored)
        except KeyboardInterrupt:
            pause(stored)
            raise CommandError(f"Paused. Continue with --resume {stored.pk}.", returncode=1) from None
        if stored.state == ImportState.FINISHED:
            self.stdout.write(f"Imported as number {stored.pk}:")
            self._print(stored, stored.outcomes)
            return
        raise CommandError(_problem(stored), returncode=1)

    def _print(self, stored: Import, counts: dict[str, dict[str, int]]) -> None:
        for label, count, note in outcome_lines(counts):
            self.stdout.write(f"  {label:<26}{count:>12,}  {note}".rstrip())
        self.stdout.write(f"  {'All rows':<26}{total(counts):>12,}")
        for key, count in stored.dropped_values.items():
            self.stdout.write(f"  “{key}”: {count:,} values cannot be read, or have no place in this list.")


#: The options that answer what is missing.
_OPTIONS = {"mapping": "--map", "default_state": "--state", "proof_date": "--proof-date"}


@contextlib.contextmanager
def _deleted_on_error(stored: Import) -> Iterator[None]:
    """A file whose check does not come to an end is not kept."""
    try:
        yield
    except BaseException:
        stored.refresh_from_db()
        if stored.state in WAITING:
            delete_file(stored)
        raise


def _name_of(path: Path) -> str:
    """The name without bytes that are not UTF-8: no database stores them."""
    return path.name.encode(errors="replace").decode()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _answered(plan: ImportPlan, table: Table, options: dict[str, Any], stored: Import) -> ImportPlan:
    mapping = dict(plan.mapping)
    for assignment in options["map"]:
        column, _equals, target = assignment.rpartition("=")
        for index in _columns(column, table):
            mapping[index] = _target(target, column, stored)
    return replace(
        plan,
        mapping=mapping,
        proof=ProofKind(options["proof"]) if options["proof"] else plan.proof,
        statement=options["statement"] or plan.statement,
        proof_date=_date(options["proof_date"]) or plan.proof_date,
    )


def _date(text: str | None) -> datetime.date | None:
    """Raises CommandError for anything but an ISO date."""
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise CommandError(f"“{text}” is not a date such as 2024-12-31.") from error


def _with_state(plans: Sequence[ImportPlan], state: RowState) -> list[ImportPlan]:
    """The answer for the tables that do not tell the state of their rows; if all of them do, for all."""
    is_known = all(plan.file_state for plan in plans)
    return [plan if plan.file_state and not is_known else replace(plan, default_state=state) for plan in plans]


def _check_columns(assignments: Sequence[str], tables: Sequence[Table]) -> None:
    """Raises CommandError for a column that no table has."""
    for assignment in assignments:
        column, _equals, _word = assignment.rpartition("=")
        if not column:
            raise CommandError("Write --map as COLUMN=TARGET.")
        if not any(_columns(column, table) for table in tables):
            names = ", ".join(dict.fromkeys(name for table in tables for name in table.header)) or "1, 2, …"
            raise CommandError(f"There is no column “{column}”. Columns: {names}.")


def _columns(name: str, table: Table) -> list[int]:
    """The columns with this name or number; a table of a ZIP may have none."""
    named = [index for index, column in enumerate(table.header) if column.casefold() == name.casefold()]
    numbered = [int(name) - 1] if name.isdecimal() and 0 < int(name) <= table.width else []
    return named or numbered


def _target(word: str, column: str, stored: Import) -> Target:
    """Raises CommandError for an unknown target."""
    if word.startswith("field:"):
        key = word.removeprefix("field:")
        known = fields_of(stored.mailing_list).get(key)
        if known is not None:
            return Target(TargetKind.FIELD, key, known.label, FieldKind(known.kind))
        if not is_field_key(key):
            raise CommandError(f"“{key}” is not a key: use small letters, digits and _, beginning with a letter.")
        return Target(TargetKind.NEW_FIELD, key, column[:MAX_LABEL], FieldKind.TEXT)
    if word not in TargetKind.values or word in ("field", "new_field", "attributes"):
        raise CommandError(f"“{word}” is not a target of --map; see --help.")
    return Target(TargetKind(word))


def _problem(stored: Import) -> str:
    if stored.detail:
        return stored.detail
    return str(ImportProblem(stored.problem).label) if stored.problem else f"The import is {stored.state}."


def _write_refused(stored: Import, name: str) -> None:
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(refused_header(stored))
        writer.writerows(refused_rows(stored))
