"""Suppressions as files: keyed hashes out and in, and addresses in.

Addresses are not stored, so none can be exported. Hashes are the same in every installation with the same
SUPPRESSION_SECRET; the file names it by a fingerprint, and with another secret it is refused.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from django.utils import timezone
from django.utils.translation import gettext as _

from subscribers.addresses import AddressError, parse_address
from subscribers.models import (
    ConsentForm,
    Evidence,
    Subscriber,
    Suppression,
    SuppressionReason,
    fingerprint,
    present_secret_fingerprint,
)
from subscribers.suppression import CHUNK, SuppressionCause, suppress_addresses, suppress_fingerprints

#: The first line of a file of hashes.
HEAD = re.compile(r"# suppressions 1 secret ([0-9a-f]{32})\s*\Z")
COLUMNS = ("fingerprint", "reason", "created_at")
FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")

#: First cells of a file of addresses that are the name of the column.
HEADERS = frozenset({"address", "email", "e-mail", "email address", "email_address", "recipient"})

#: The longest line, in characters.
MAX_LINE = 10_000

#: Lines that could not be read and are named.
MAX_NAMED = 20


class FileRefused(ValueError):
    """The file is none of these, or of another secret. Nothing was imported."""

    permanent = True


@dataclass(slots=True)
class SuppressionImport:
    """What an import has done."""

    read: int = 0
    ended: int = 0
    """Subscriptions that ended."""
    unreadable: list[int] = field(default_factory=list)
    """The numbers of the first lines that could not be read."""
    skipped: int = 0
    """How many could not be read."""

    def skip(self, number: int) -> None:
        """Count a line that cannot be read."""
        self.skipped += 1
        if len(self.unreadable) < MAX_NAMED:
            self.unreadable.append(number)


def export_lines() -> Iterator[str]:
    """The lines of a CSV of all suppressions: hash, reason, time. No address and no word of an editor is in it."""
    yield f"# suppressions 1 secret {present_secret_fingerprint()}\r\n"
    yield ",".join(COLUMNS) + "\r\n"
    for key, reason, at in Suppression.objects.order_by("pk").values_list(*COLUMNS).iterator(chunk_size=2_000):
        yield f"{key},{reason},{at.isoformat(timespec='seconds')}\r\n"


def bounded_lines(file: IO[str]) -> Iterator[str]:
    """The lines of a text file; a longer one in pieces, so that a file without a line break is not read at once."""
    return iter(lambda: file.readline(MAX_LINE), "")


def import_file(
    lines: Iterable[str], *, reason: SuppressionReason, detail: str = "", by: str = ""
) -> SuppressionImport:
    """Suppress what the file names: hashes of an export, or addresses in the first column, with this reason.

    A repeat changes nothing; a reason that outranks a stored one replaces it. `by` is the editor. Raises FileRefused,
    and SuppressionSecretDiffers.
    """
    iterator = iter(lines)
    first = next(iterator, "").removeprefix("\ufeff")
    if found := HEAD.match(first):
        if found[1] != present_secret_fingerprint():
            raise FileRefused(
                _("These hashes were made with another SUPPRESSION_SECRET: the addresses would not be recognised.")
            )
        return _import_hashes(iterator, by)
    return _import_addresses(_chain(first, iterator), reason, detail, by)


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _import_addresses(lines: Iterator[str], reason: SuppressionReason, detail: str, by: str) -> SuppressionImport:
    result = SuppressionImport()
    evidence = Evidence(form=ConsentForm.SUPPRESSION, by=by, detail=detail)
    causes: dict[str, SuppressionCause] = {}
    for number, cell in enumerate(_first_cells(lines), start=1):
        if not cell or (number == 1 and cell.lower() in HEADERS):
            continue
        try:
            causes[parse_address(cell).canonical] = (reason, detail)
        except AddressError:
            result.skip(number)
            continue
        result.read += 1
        if len(causes) >= CHUNK:
            result.ended += suppress_addresses(causes, evidence)
            causes = {}
    result.ended += suppress_addresses(causes, evidence)
    if not result.read and result.skipped:
        raise FileRefused(_("The first column of this file has no email addresses."))
    return result


def _first_cells(lines: Iterator[str]) -> Iterator[str]:
    """The first cell of each line. Separators other than commas are accepted: no address contains them."""
    for line in lines:
        cell = re.split(r"[,;\t]", line.strip().replace("\x00", ""), maxsplit=1)[0]
        yield cell.strip().strip('"').strip()


def _import_hashes(lines: Iterator[str], by: str) -> SuppressionImport:
    result = SuppressionImport()
    causes: dict[str, tuple[SuppressionReason, datetime.datetime]] = {}
    for number, line in enumerate(lines, start=2):
        # No value of an export is quoted.
        row = line.strip().split(",")
        if tuple(row) == COLUMNS or row == [""]:
            continue
        if len(row) < 2 or not FINGERPRINT.match(row[0]) or row[1] not in SuppressionReason.values:
            result.skip(number)
            continue
        causes[row[0]] = (SuppressionReason(row[1]), _time(row[2] if len(row) > 2 else ""))
        result.read += 1
    if not result.read and result.skipped:
        raise FileRefused(_("No line of this file is a suppression."))
    suppress_fingerprints(causes)
    result.ended = _end_subscriptions({key: reason for key, (reason, _at) in causes.items()}, by)
    return result


def _end_subscriptions(reasons: dict[str, SuppressionReason], by: str) -> int:
    """End the subscriptions of the subscribers whose addresses have these hashes: each is hashed once."""
    ended, causes = 0, dict[str, SuppressionCause]()
    evidence = Evidence(form=ConsentForm.SUPPRESSION, by=by)
    for canonical in Subscriber.objects.order_by("pk").values_list("canonical", flat=True).iterator(chunk_size=5_000):
        if reason := reasons.get(fingerprint(canonical)):
            causes[canonical] = (reason, "")
        if len(causes) >= CHUNK:
            ended += suppress_addresses(causes, evidence)
            causes = {}
    return ended + suppress_addresses(causes, evidence)


def _time(text: str) -> datetime.datetime:
    """The time of the entry; now, if it has none or one that cannot be."""
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        return timezone.now()
    at = at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
    return min(at, timezone.now())
