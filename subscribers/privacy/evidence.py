"""Evidence of consent as a file for an auditor: JSON Lines, each line with a hash over itself and the line before.

A line is `{"hash": …, "record": …}`; its hash is SHA-256 of the hash of the line before (empty for the first), a line
break, and the record as canonical JSON: sorted names, no spaces, UTF-8. A change of any line so changes every later
hash. The last record has the count. Who keeps the last hash elsewhere can tell that the file is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from subscribers.models import Consent, ConsentText, MailingList
from subscribers.privacy.registry import DataSubject
from subscribers.privacy.rules import consents_of

FORMAT = 1

#: Rows that are read at a time.
CHUNK = 2_000


class EvidenceBroken(Exception):
    """The file is not as it was written; the message names the first line that does not fit."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The end of a file: how many consents it has, and the hash of its last line."""

    count: int
    last_hash: str


def consents_of_list(mailing_list: MailingList) -> QuerySet[Consent]:
    """The consents of a list. Those of erased subscribers name no subscription and are not among them."""
    return Consent.objects.filter(subscription__mailing_list=mailing_list)


def consents_of_subject(subject: DataSubject) -> QuerySet[Consent]:
    """The consents of one address, on every list."""
    return Consent.objects.filter(consents_of(subject))


def evidence_lines(consents: QuerySet[Consent], *, about: str) -> Iterator[str]:
    """The lines of a file, each with its line break."""
    last = ""
    for record in _records(consents, about):
        last = _hash(last, record)
        yield _json({"hash": last, "record": record}) + "\n"


def _records(consents: QuerySet[Consent], about: str) -> Iterator[dict[str, Any]]:
    made_at = timezone.now().isoformat(timespec="seconds")
    yield {"format": FORMAT, "about": about, "made_at": made_at}
    count, known = 0, set[int]()
    for consent in consents.select_related("text").order_by("pk").iterator(chunk_size=CHUNK):
        if consent.text and consent.text_id not in known:
            known.add(consent.text.pk)
            yield {"text": _text(consent.text)}
        yield {"consent": _consent(consent)}
        count += 1
    yield {"consents": count, "texts": len(known)}


def _text(text: ConsentText) -> dict[str, Any]:
    return {"sha256": text.sha256, "form": text.form, "version": text.version, "text": text.text}


def _consent(consent: Consent) -> dict[str, Any]:
    names = (
        "kind",
        "address",
        "canonical",
        "list_name",
        "form",
        "language",
        "source",
        "ip",
        "user_agent",
        "by",
        "reason",
    )
    return {
        "id": consent.pk,
        "at": consent.created_at.isoformat(),
        **{name: getattr(consent, name) for name in names},
        "detail": consent.detail,
        "text_sha256": consent.text.sha256 if consent.text else "",
        "transactional_mail": consent.transactional_mail_id,
        "mail_reference": consent.mail_reference,
        "leave_reason": consent.leave_reason or "",
    }


def verify_evidence(lines: Iterable[str], *, expected: str = "") -> Evidence:
    """Check every line, and the last hash if one is expected. Raises EvidenceBroken."""
    last, consents, record = "", 0, dict[str, Any]()
    for number, line in enumerate(lines, start=1):
        if "consents" in record:
            raise EvidenceBroken(_("Line %(number)d follows the last record.") % {"number": number})
        try:
            stored, record = _parts(line)
        except (ValueError, KeyError, TypeError) as error:
            raise EvidenceBroken(_("Line %(number)d cannot be read.") % {"number": number}) from error
        last = _hash(last, record)
        if stored != last:
            raise EvidenceBroken(_("Line %(number)d, or the order before it, was changed.") % {"number": number})
        consents += "consent" in record
    if record.get("consents") != consents:
        raise EvidenceBroken(_("The end of the file is missing."))
    if expected and expected != last:
        raise EvidenceBroken(_("The last hash is %(hash)s and not the expected one.") % {"hash": last})
    return Evidence(consents, last)


def _parts(line: str) -> tuple[str, dict[str, Any]]:
    parts = json.loads(line)
    stored, record = parts["hash"], parts["record"]
    if not isinstance(record, dict) or _json(parts) != line.rstrip("\n"):
        raise ValueError("not canonical")
    return str(stored), record


def _hash(last: str, record: dict[str, Any]) -> str:
    return hashlib.sha256(f"{last}\n{_json(record)}".encode()).hexdigest()


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
