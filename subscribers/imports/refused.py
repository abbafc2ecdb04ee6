"""The file of refused rows: as they were, with the reason beside, safe to open in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override

from subscribers.imports.states import RowRefusal
from subscribers.models import Import, ImportRefusal

#: A cell that begins with one of these is a formula for a spreadsheet. An import takes the apostrophe off again.
FORMULA = ("=", "+", "-", "@", "\t", "\r")

#: The columns of ours.
OWN_COLUMNS = (gettext_lazy("File"), gettext_lazy("Line"), gettext_lazy("Reason"))

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
    """The names of the columns: ours, then those of the file, so that the rows can be mended and imported again.

    Columns without a name, and those of tables with different columns, get a number.
    """
    widest = max((len(refusal.cells) for refusal in _refusals(stored)), default=0)
    names = _common_header(stored.plan.get("headers", []))[:widest]
    names += [""] * (widest - len(names))
    numbered = [name or _("Column %(number)d") % {"number": number} for number, name in enumerate(names, 1)]
    return [*map(str, OWN_COLUMNS), *map(safe_cell, numbered)]


def is_refused_header(header: Sequence[str]) -> bool:
    """Whether a file begins with the columns of ours, in any language."""
    for code, _name in settings.LANGUAGES:
        with override(code):
            if tuple(header[: len(OWN_COLUMNS)]) == tuple(map(str, OWN_COLUMNS)):
                return True
    return False


def _common_header(headers: list[list[str]]) -> list[str]:
    """The longest of the headers, if all others are the beginning of it."""
    longest = max(headers, key=len, default=[])
    return longest if all(longest[: len(header)] == header for header in headers) else []


def refused_rows(stored: Import) -> Iterator[list[str]]:
    """All refused rows in the order of the file."""
    for refusal in _refusals(stored):
        reason = reason_sentence(refusal.reason, refusal.detail)
        yield [safe_cell(cell) for cell in (refusal.table, str(refusal.line), reason, *refusal.cells)]


def _refusals(stored: Import) -> Iterator[ImportRefusal]:
    return ImportRefusal.objects.filter(owner=stored).order_by("position").iterator(chunk_size=500)
