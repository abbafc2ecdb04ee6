"""The rules for what imports, exports and bulk actions know about a subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Max, Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.models import (
    BULK_ACTION_MACHINE,
    IMPORT_MACHINE,
    BulkAction,
    BulkActionState,
    Export,
    Import,
    ImportPart,
    ImportProblem,
    ImportRefusal,
    ImportState,
    ImportSuppression,
    StagedRow,
)
from subscribers.models.bulk_action import OPEN
from subscribers.privacy.registry import DataRule, DataSubject, Row, plain_row

#: States from which an import that has not read its file fails without it.
UNREAD = (
    ImportState.UPLOADED,
    ImportState.CHECKING,
    ImportState.CHECKED,
    ImportState.RUNNING,
    ImportState.PAUSED,
)


# --- Imports -------------------------------------------------------------------------------------------------------


def _imported_rows(subject: DataSubject) -> Iterator[Row]:
    """Rows of imports that are being checked or run."""
    rows = StagedRow.objects.filter(canonical=subject.canonical).select_related("owner__mailing_list").order_by("pk")
    names = ("address", "first_name", "time_zone", "language", "note", "joined_at", "confirmed_at", "ended_at")
    for row in rows:
        yield plain_row(row, *names, "source", "evidence", list=row.owner.mailing_list.name, file=row.owner.file_name)


def _refused_rows(subject: DataSubject) -> Iterator[Row]:
    for row in _naming(ImportRefusal, "cells", subject).select_related("owner").order_by("pk"):
        cells = [cell for cell in row.cells if not _names_others(subject, cell)]
        yield plain_row(row, "line", "reason", cells=cells, file=row.owner.file_name)


def _names_others(subject: DataSubject, cell: str) -> bool:
    """Whether a cell has another address: one with two of them is a reason to refuse a row."""
    return "@" in subject.without_name(cell)


def _erase_imported(subject: DataSubject, located: list[int]) -> int:
    """Delete every stored file, since it is compressed as a whole and may have the address.

    An import that has not read its file to the end fails, and the editor uploads the file again. Others go on with the
    rows that they have.
    """
    # First, so that no worker stores a row of the subscriber after they are deleted.
    IMPORT_MACHINE.move(
        Import.objects.filter(state__in=UNREAD, is_read=False),
        ImportState.FAILED,
        problem=ImportProblem.FILE_DELETED,
        worker="",
        ended_at=timezone.now(),
    )
    count = ImportPart.objects.all().delete()[0] + _move_cursors(subject)
    count += _without_previews(subject)
    count += StagedRow.objects.filter(canonical=subject.canonical).delete()[0]
    for column in ("cells", "detail"):
        count += _naming(ImportRefusal, column, subject).delete()[0]
    # Undoing the import must not lift the suppression of the erasure.
    return count + ImportSuppression.objects.filter(fingerprint=subject.fingerprint).delete()[0]


def _move_cursors(subject: DataSubject) -> int:
    """An import that has come to this address has come to the one before it, which nothing tells apart any more."""
    moved = Import.objects.filter(last_address=subject.canonical)
    for row in moved:
        before = StagedRow.objects.filter(owner=row, canonical__lt=subject.canonical)
        last = before.aggregate(last=Max("canonical"))["last"] or ""
        Import.objects.filter(pk=row.pk).update(last_address=last)
    return 0


def _without_previews(subject: DataSubject) -> int:
    """Empty the preview of an import that shows the subscriber, and the words of an error that name them."""
    shown = _naming(Import, "preview", subject).update(preview=[])
    reported = _naming(Import, "detail", subject).update(detail="–")
    # Without the extension, which looks like the end of a longer domain.
    names = Import.objects.values_list("pk", "file_name")
    named = [pk for pk, name in names if subject.is_named_in(name) or subject.is_named_in(name.rpartition(".")[0])]
    return shown + reported + Import.objects.filter(pk__in=named).update(file_name="–")


# --- Selections ----------------------------------------------------------------------------------------------------


def _blank_actions(subject: DataSubject, located: list[int]) -> int:
    """Cancel actions that search for the subscriber, and forget the text; without it they would take everybody."""
    named = [row for row in BulkAction.objects.order_by("pk") if _is_named(subject, row.selection, row.values)]
    still_open = BulkAction.objects.filter(pk__in=[row.pk for row in named], state__in=OPEN)
    BULK_ACTION_MACHINE.move(still_open, BulkActionState.CANCELLED, finished_at=timezone.now())
    for row in named:
        values = {name: value for name, value in row.values.items() if name != "words"}
        BulkAction.objects.filter(pk=row.pk).update(selection=_without_text(row.selection), values=values)
    return len(named)


def _blank_exports(subject: DataSubject, located: list[int]) -> int:
    named = [row for row in Export.objects.order_by("pk") if _is_named(subject, row.selection, {})]
    for row in named:
        Export.objects.filter(pk=row.pk).update(selection=_without_text(row.selection))
    return len(named)


def _is_named(subject: DataSubject, selection: dict[str, Any], values: dict[str, Any]) -> bool:
    """Whether the text or a rule of a selection, or an editor's words, name the subscriber."""
    rules = " ".join(rule[-1] for rule in selection.get("rules", ()))
    words = f"{selection.get('text', '')} {rules} {values.get('words', '')}".lower()
    name = subject.canonical.partition("@")[0]
    is_picked = subject.subscriber_pk in selection.get("keys", ()) and "words" in values
    return is_picked or subject.is_named_in(words) or name in words.split()


def _without_text(selection: dict[str, Any]) -> dict[str, Any]:
    return {**selection, "text": "", "rules": []}


def _naming(model: type[Model], column: str, subject: DataSubject) -> QuerySet[Any]:
    """Rows whose column has the address somewhere, and not only as a part of another one."""
    found = Q()
    for address in subject.addresses:
        found |= Q(as_text__icontains=address)
    rows = model._default_manager.annotate(as_text=Cast(column, TextField())).filter(found)
    named = [pk for pk, text in rows.values_list("pk", "as_text") if subject.is_named_in(text)]
    return model._default_manager.filter(pk__in=named)


def _rule(name: str, title: Any, *models: type[Model], **more: Any) -> DataRule:
    return DataRule(name=name, title=title, models=models, **more)


WORK_RULES: tuple[DataRule, ...] = (
    _rule(
        "imports",
        _("Rows of imports that are not finished"),
        StagedRow,
        ImportPart,
        ImportSuppression,
        Import,
        export=_imported_rows,
        erase=_erase_imported,
    ),
    _rule(
        "refused_rows",
        _("Rows of imports that were refused"),
        ImportRefusal,
        export=_refused_rows,
        erase=lambda subject, located: 0,  # with the others
    ),
    _rule("bulk_actions", _("Actions of the editors"), BulkAction, export=None, erase=_blank_actions),
    _rule("exports", _("Exports of the editors"), Export, export=None, erase=_blank_exports),
)
