"""Imports in tests: uploaded, checked and run, as an editor and a worker do it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

from subscribers.imports.control import start_check, start_run
from subscribers.imports.engine import ImportWorker
from subscribers.imports.files import OpenFile, store_file
from subscribers.imports.plan import ProofKind, guess_mapping
from subscribers.imports.presets import recognise
from subscribers.imports.rows import RowState
from subscribers.models import Import, ImportState, MailingList, Subscription
from tests.people import make_mailing_list

STATEMENT = "Double opt-in on example.org, 2021 to 2026."
EDITOR = "ines"

#: Columns of the plain files of these tests.
HEADER = ("email", "status", "first_name", "tags", "unsubscribed_at")


def plain_file(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> bytes:
    """A CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def uploaded(data: bytes, name: str = "people.csv", mailing_list: MailingList | None = None) -> Import:
    """An import with this file."""
    return store_file(mailing_list or make_mailing_list(), name, [data], by=EDITOR)


def check(
    stored: Import,
    *,
    answer: RowState | None = None,
    proof: ProofKind = ProofKind.DOUBLE_OPT_IN_ELSEWHERE,
    update_mode: str = "",
    chunk: int | None = None,
) -> Import:
    """Check it with the plan that is guessed for each table."""
    with OpenFile(stored) as file:
        plans = []
        for table in file.source.tables:
            plan = guess_mapping(table, recognise(table, stored.file_name))
            plan = replace(plan, proof=proof, statement=STATEMENT)
            plans.append(replace(plan, default_state=answer) if answer else plan)
        start_check(stored, plans, file.source, update_mode=update_mode, by=EDITOR)
    return work(stored, chunk=chunk)


def work(stored: Import, *, chunk: int | None = None, steps: int = 10_000) -> Import:
    """Let a worker do so many chunks of it, until nothing is left to do."""
    worker = ImportWorker(chunk=chunk)
    while steps and worker.claim(stored.pk):
        worker.advance(stored.pk)
        steps -= 1
    worker.release(stored.pk)
    stored.refresh_from_db()
    return stored


def run(stored: Import, *, chunk: int | None = None) -> Import:
    """Import what was checked."""
    assert stored.state == ImportState.CHECKED, (stored.problem, stored.detail)
    start_run(stored, by=EDITOR)
    return work(stored, chunk=chunk)


def imported(
    rows: Sequence[Sequence[str]],
    *,
    mailing_list: MailingList | None = None,
    header: Sequence[str] = HEADER,
    answer: RowState | None = None,
    proof: ProofKind = ProofKind.DOUBLE_OPT_IN_ELSEWHERE,
    update_mode: str = "",
    chunk: int | None = None,
) -> Import:
    """A plain file that was imported."""
    stored = uploaded(plain_file(rows, header), mailing_list=mailing_list)
    check(stored, answer=answer, proof=proof, update_mode=update_mode, chunk=chunk)
    return run(stored, chunk=chunk)


def counts(stored: Import) -> dict[str, int]:
    """Rows by outcome, without reasons."""
    return {outcome: sum(reasons.values()) for outcome, reasons in stored.outcomes.items()}


def states(mailing_list: MailingList | None = None) -> dict[str, str]:
    """The state of each subscriber of the list, by canonical address."""
    rows = Subscription.objects.filter(mailing_list=mailing_list or make_mailing_list())
    return dict(rows.values_list("subscriber__canonical", "state"))
