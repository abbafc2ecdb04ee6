"""One export: subscriptions of a list as CSV or JSON Lines, in a stream of bytes, and its record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from django.utils import timezone

from subscribers.directory.selection import Selection
from subscribers.exports.columns import FORMULA_STARTS, guarded, header
from subscribers.exports.rows import CONSENT_NAMES, Chunk, read_chunks
from subscribers.models import (
    CustomField,
    Export,
    ExportFormat,
    FieldKind,
    MailingList,
    SubscriptionQuerySet,
)
from subscribers.profile.fields import fields_of

#: Spreadsheets take a CSV that begins with it for UTF-8.
BOM = b"\xef\xbb\xbf"

#: A cell that begins with one of these is looked at closely.
SUSPICIOUS = frozenset({*FORMULA_STARTS, "'"})


def export_subscribers(
    mailing_list: MailingList, selection: Selection, form: ExportFormat, *, with_bom: bool = False, by: str
) -> Iterator[bytes]:
    """The file in parts; the first is the header of a CSV. The record is stored at once. Raises SelectionGone.

    The selection is narrowed to this list. The record gets its number of rows and the end with the last part: an export
    that was broken off has none.
    """
    subscriptions = subscriptions_of(mailing_list, selection)
    record = Export.objects.create(list_name=mailing_list.name, selection=selection.to_json(), format=form, by=by[:150])
    fields = list(fields_of(mailing_list).values())
    parts = (
        _csv(subscriptions, fields, with_bom=with_bom)
        if form == ExportFormat.CSV
        else _jsonl(subscriptions, fields, mailing_list)
    )
    return _recorded(parts, record)


def subscriptions_of(mailing_list: MailingList, selection: Selection) -> SubscriptionQuerySet:
    """The subscriptions of this list that are selected. Raises SelectionGone."""
    found = selection.subscriptions().filter(mailing_list=mailing_list)
    if selection.text or selection.keys:
        found = found.filter(subscriber__in=selection.subscribers().values("pk"))
    return found


def _recorded(parts: Iterator[tuple[int, bytes]], record: Export) -> Iterator[bytes]:
    total = 0
    for count, part in parts:
        total += count
        yield part
    Export.objects.filter(pk=record.pk).update(rows=total, finished_at=timezone.now())


def _csv(
    subscriptions: SubscriptionQuerySet, fields: Sequence[CustomField], *, with_bom: bool
) -> Iterator[tuple[int, bytes]]:
    """Pairs of a number of rows and their bytes."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header(each.key for each in fields))
    if with_bom:
        yield 0, BOM
    for chunk in read_chunks(subscriptions, fields, is_full=False):
        writer.writerows(_csv_rows(chunk, fields))
        yield len(chunk.rows), buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    if buffer.tell():
        # No subscriber is selected: the header alone.
        yield 0, buffer.getvalue().encode()


def _csv_rows(chunk: Chunk, fields: Sequence[CustomField]) -> Iterator[list[str]]:
    tags, values, topics, reasons, proofs = chunk.tags, chunk.values, chunk.topics_off, chunk.reasons, chunk.proofs
    keys = [(each.key, each.kind == FieldKind.NUMBER) for each in fields]
    nothing: dict[str, Any] = {}
    for row in chunk.rows:
        pk, address, canonical, name, state, joined, confirmed, ended, source, language, zone, frequency, paused = row
        # Cells are looked at here: a call for each of a dozen cells costs as much as writing the row.
        cells = [
            guarded(address) if address[:1] in SUSPICIOUS else address,
            guarded(name) if name[:1] in SUSPICIOUS else name,
            state,
            _joined(sorted(tags[pk])) if pk in tags else "",
            joined,
            confirmed,
            ended,
            guarded(source) if source[:1] in SUSPICIOUS else source,
            language,
            zone,
        ]
        if keys:
            own = values.get(pk, nothing)
            for key, is_number in keys:
                text = own.get(key, "")
                if text.__class__ is list:
                    text = _joined(text)
                elif not is_number and text[:1] in SUSPICIOUS:
                    text = guarded(text)
                cells.append(text)
        proof = proofs.get(pk, "")
        cells += (
            frequency,
            paused,
            _joined(topics[pk]) if pk in topics else "",
            reasons.get(canonical, ""),
            guarded(proof) if proof[:1] in SUSPICIOUS else proof,
        )
        yield cells


def _joined(texts: list[str]) -> str:
    text = ", ".join(texts)
    return guarded(text) if text[:1] in SUSPICIOUS else text


def _jsonl(
    subscriptions: SubscriptionQuerySet, fields: Sequence[CustomField], mailing_list: MailingList
) -> Iterator[tuple[int, bytes]]:
    for chunk in read_chunks(subscriptions, fields, is_full=True):
        lines = [orjson.dumps(_json_row(row, chunk, mailing_list.slug)) for row in chunk.rows]
        yield len(lines), b"\n".join(lines) + b"\n"


def _json_row(row: tuple[Any, ...], chunk: Chunk, slug: str) -> dict[str, Any]:
    pk, address, canonical, name, state, joined, confirmed, ended, source, language, zone, frequency, paused = row
    return {
        "address": address,
        "list": slug,
        "first_name": name,
        "state": state,
        "tags": sorted(chunk.tags.get(pk, ())),
        "joined_at": joined,
        "confirmed_at": confirmed,
        "ended_at": ended,
        "source": source,
        "language": language,
        "time_zone": zone,
        "fields": chunk.values.get(pk, {}),
        "frequency": frequency,
        "paused_until": paused,
        "topics_off": chunk.topics_off.get(pk, []),
        "suppression_reason": chunk.reasons.get(canonical) or None,
        "consents": [_consent(each) for each in chunk.consents.get(pk, ())],
    }


def _consent(values: tuple[Any, ...]) -> dict[str, Any]:
    return {name: value for name, value in zip(CONSENT_NAMES, values, strict=True) if value}
