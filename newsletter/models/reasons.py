"""Reasons as codes: why something was held, skipped, refused or moved. Sentences are made when they are shown."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from django.utils import formats
from django.utils.dateparse import parse_datetime
from django.utils.translation import pgettext_lazy

from newsletter.config.translatable import from_data
from newsletter.models.reason_codes import Reason as Reason

#: Sentences of providers' codes; `newsletter.apps` adds those of `newsletter.providers.reasons`.
PROVIDER_SENTENCES: dict[str, str] = {}


#: Values of columns `by` that are not user names, and how they are shown.
ACTORS = {
    "import": pgettext_lazy("who did it", "import"),
    "recurring draft": pgettext_lazy("who did it", "recurring draft"),
    "recurring schedule": pgettext_lazy("who did it", "recurring schedule"),
    "schedule": pgettext_lazy("who did it", "schedule"),
    "weekly digest": pgettext_lazy("who did it", "weekly digest"),
    "worker": pgettext_lazy("who did it", "worker"),
}


def actor_name(by: str) -> str:
    """Who did something, as shown: a user name as it is, a part of the system in the active language."""
    return str(ACTORS.get(by, by))


def reason_sentence(code: str, values: Mapping[str, Any] | None = None) -> str:
    """The sentence of a reason, ours or a provider's, in the active language; the code's words where it is unknown.

    Values whose name ends in `_at` are ISO 8601 times and shown in UTC. Three values add to the sentence: `reasons` (a
    list of further code and values), `sentences` (as `translatable.to_data` stores them) and `text` (plain words).
    """
    values = values or {}
    parts = [_own_sentence(code, values)]
    parts += [reason_sentence(more, more_values) for more, more_values in values.get("reasons", ())]
    parts += [str(from_data(sentence)) for sentence in values.get("sentences", ())]
    parts.append(str(values.get("text", "")))
    return " ".join(part for part in parts if part)


def _own_sentence(code: str, values: Mapping[str, Any]) -> str:
    if code in PROVIDER_SENTENCES:
        return str(PROVIDER_SENTENCES[code])
    if code not in Reason.values:
        return code.replace("_", " ")
    template = str(Reason(code).label)
    shown = _Values({name: _shown(name, value) for name, value in values.items()})
    return template % shown if "%(" in template else template


class _Values(dict[str, str]):
    """Values of a sentence. Deliveries store the code of their batch's reason without its values."""

    def __missing__(self, name: str) -> str:
        return "…"


def _shown(name: str, value: Any) -> str:
    if name.endswith("_at") and (at := parse_datetime(str(value))):
        return f"{formats.date_format(at.astimezone(datetime.UTC), 'DATETIME_FORMAT')} UTC"
    if isinstance(value, int | float):
        return str(formats.number_format(value, use_l10n=True, force_grouping=True))
    return str(value)


def iso(at: datetime.datetime) -> str:
    """A time as reasons store it: UTC, to the second."""
    return at.astimezone(datetime.UTC).isoformat(timespec="seconds")
