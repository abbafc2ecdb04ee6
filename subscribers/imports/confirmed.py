"""Subscribe addresses whose owners are known to have agreed: for the demo, tests and measurements."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from subscribers.imports.control import delete_file, start_check, start_run
from subscribers.imports.engine import ImportWorker, delete_staged_rows
from subscribers.imports.files import OpenFile, store_file
from subscribers.imports.plan import ImportPlan, ProofKind, Target, TargetKind
from subscribers.imports.states import RowState
from subscribers.models import Import, ImportState, MailingList


class ImportFailed(RuntimeError):
    """The import did not come to its end; the message has the reason."""


def import_confirmed(mailing_list: MailingList, addresses: Iterable[str], *, proof: str) -> Import:
    """Import these addresses as active, as a file with one column; `proof` says in words how they agreed.

    Returns the import with its outcomes; nothing else of the file is kept. Raises ImportFailed.
    """
    stored = store_file(mailing_list, "addresses.csv", _lines(addresses), by="")
    with OpenFile(stored) as file:
        plan = ImportPlan(
            preset="other",
            table=file.source.tables[0].name,
            mapping={0: Target(TargetKind.ADDRESS)},
            needs_state_answer=True,
            default_state=RowState.ACTIVE,
            proof=ProofKind.DOUBLE_OPT_IN_ELSEWHERE,
            statement=proof,
        )
        start_check(stored, [plan], file.source, by="")
    worker = ImportWorker()
    _finish(worker, stored, ImportState.CHECKED)
    start_run(stored, by="")
    _finish(worker, stored, ImportState.FINISHED)
    while delete_staged_rows():
        pass
    delete_file(stored)
    return stored


def _finish(worker: ImportWorker, stored: Import, state: ImportState) -> None:
    worker.finish(stored.pk)
    stored.refresh_from_db()
    if stored.state != state:
        raise ImportFailed(f"{stored.problem} {stored.detail}")


def _lines(addresses: Iterable[str]) -> Iterator[bytes]:
    yield b"email\n"
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for address in addresses:
        writer.writerow([address])
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
