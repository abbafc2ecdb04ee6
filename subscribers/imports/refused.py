"""The file of refused rows: as they were, with the reason beside, safe to open in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from subscribers.imports.states import RowRefusal
from subscribers.models import Import, ImportRefusal

#: A cell that begins with one of these is a formula for a spreadsheet. An import takes the apostrophe off again.
FORMULA = ("=", "+", "-", "@", "\t", "\r")

#: Refusals whose detail is the word of the file.
_ABOUT_STATES = (
    RowRefusal.UNKNOWN_STATE,
    RowRefusal.NO_STATE,
    RowRefusal.NEVER_OPTED_IN,
    RowRefusal.BLOCKED_THERE,
    RowRefusal.ERASED_THERE,
)


def safe_cell(text: str) -> str:
    """The text, so that no spreadsheet runs it as a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def reason_sentence(reason: str, detail: str = "") -> str:
    """Why a row was refused, in the active language."""
    sentence = str(RowRefusal(reason).label) if reason in RowRefusal.values else reason
    if reason in _ABOUT_STATES and detail:
        return _("%(sentence)s The file says “%(word)s”.") % {"sentence": sentence, "word": detail}
    return f"{sentence} {detail}".strip() if detail else sentence


def refused_header(stored: Import) -> list[str]:
    """The names of the columns: ours, then those of the rows by number."""
    widest = max((len(refusal.cells) for refusal in _refusals(stored)), default=0)
    columns = [_("Column %(number)d") % {"number": number} for number in range(1, widest + 1)]
    return [_("File"), _("Line"), _("Reason"), *columns]


def refused_rows(stored: Import) -> Iterator[list[str]]:
    """All refused rows in the order of the file."""
    for refusal in _refusals(stored):
        reason = reason_sentence(refusal.reason, refusal.detail)
        yield [safe_cell(cell) for cell in (refusal.table, str(refusal.line), reason, *refusal.cells)]


def _refusals(stored: Import) -> Iterator[ImportRefusal]:
    return ImportRefusal.objects.filter(owner=stored).order_by("position").iterator(chunk_size=500)
