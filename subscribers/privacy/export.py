"""The copy of everything that is stored about a subscriber (GDPR Art. 15 and 20): one ZIP with JSON and a page to read.

The files are made in memory and handed over at once; none is kept.
"""

from __future__ import annotations

import datetime
import decimal
import io
import json
import uuid
import zipfile
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from subscribers.models import (
    ChangeKind,
    ConsentForm,
    ConsentKind,
    Frequency,
    LeaveReason,
    SubscriptionState,
    SuppressionReason,
    TransactionalMailKind,
    TransactionalMailReason,
    TransactionalMailState,
)
from subscribers.privacy.registry import DataSubject, Row
from subscribers.privacy.rules import rules

#: The format of the JSON; it changes when the meaning of a name does.
FORMAT = 1

#: Names of the files in the ZIP.
JSON_NAME, PAGE_NAME = "data.json", "data.html"

#: The labels of codes on the page, by section and name.
LABELS: dict[tuple[str, str], Any] = {
    ("subscriptions", "state"): SubscriptionState,
    ("subscriptions", "frequency"): Frequency,
    ("subscriptions", "next_frequency"): Frequency,
    ("changes", "kind"): ChangeKind,
    ("transactional_mails", "kind"): TransactionalMailKind,
    ("transactional_mails", "state"): TransactionalMailState,
    ("transactional_mails", "reason"): TransactionalMailReason,
    ("consents", "kind"): ConsentKind,
    ("consents", "form"): ConsentForm,
    ("consents", "reason"): SuppressionReason,
    ("consents", "leave_reason"): LeaveReason,
    ("suppressions", "reason"): SuppressionReason,
    ("lifted_suppressions", "reason"): SuppressionReason,
}


def export_data(subject: DataSubject) -> dict[str, Any]:
    """Everything that is stored, as plain values: a list of rows for each section that has any."""
    sections = {rule.name: [_plain(row) for row in rule.export(subject)] for rule in rules() if rule.export}
    return {
        "format": FORMAT,
        "address": subject.canonical,
        "made_at": timezone.now().isoformat(timespec="seconds"),
        "sections": {name: rows for name, rows in sections.items() if rows},
    }


def export_zip(subject: DataSubject, *, language: str = "") -> bytes:
    """The same as a ZIP of JSON and a page in this language; empty: in the active one."""
    data = export_data(subject)
    with translation.override(language or translation.get_language() or "en"):
        page = render_to_string("subscribers/data.html", {"data": data, "sections": _shown(data)})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(JSON_NAME, json.dumps(data, ensure_ascii=False, indent=2) + "\n")
        archive.writestr(PAGE_NAME, page)
    return content.getvalue()


def file_name(at: datetime.datetime) -> str:
    """The name of the ZIP; without the address, which would stay in lists of downloads."""
    return f"my-data-{at:%Y-%m-%d}.zip"


def _shown(data: dict[str, Any]) -> list[tuple[str, list[list[tuple[str, str]]]]]:
    """The sections with their titles, each row as names and values to read."""
    titles = {rule.name: str(rule.title) for rule in rules()}
    return [
        (titles[name], [[(_label(key), _text(name, key, value)) for key, value in row.items()] for row in rows])
        for name, rows in data["sections"].items()
    ]


def _label(name: str) -> str:
    return name.replace("_", " ")


def _text(section: str, name: str, value: Any) -> str:
    choices = LABELS.get((section, name))
    if choices is not None and value in choices.values:
        return str(choices(value).label)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _plain(row: Row) -> dict[str, Any]:
    """Values as JSON has them: times in ISO 8601 with their zone."""
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, (datetime.date, uuid.UUID, decimal.Decimal)):
        return str(value)
    return value
