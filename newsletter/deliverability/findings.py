"""What a check of a domain found: codes with values, and the sentences that are made of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from newsletter.config.translatable import Translatable, from_data, to_data, translatable


class Record(enum.StrEnum):
    """What a finding is about, in the order of the page. Stored in the database: do not change the values."""

    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    RETURN_PATH = "return_path"
    TLS_RPT = "tls_rpt"
    MTA_STS = "mta_sts"
    BIMI = "bimi"
    HOSTS = "hosts"
    UNSUBSCRIBE = "unsubscribe"


RECORD_LABELS: dict[Record, str] = {
    Record.SPF: translatable("SPF"),
    Record.DKIM: translatable("DKIM"),
    Record.DMARC: translatable("DMARC"),
    Record.RETURN_PATH: translatable("Return path"),
    Record.TLS_RPT: translatable("TLS-RPT"),
    Record.MTA_STS: translatable("MTA-STS"),
    Record.BIMI: translatable("BIMI"),
    Record.HOSTS: translatable("Link and picture hosts"),
    Record.UNSUBSCRIBE: translatable("List-Unsubscribe host"),
}


class Result(enum.StrEnum):
    """How severe it is, the worst first. Stored in the database: do not change the values."""

    ERROR = "error"
    WARNING = "warning"
    OK = "ok"
    # An optional record that is not there.
    NOT_SET = "not_set"


RESULT_LABELS: dict[Result, str] = {
    Result.ERROR: translatable("Error"),
    Result.WARNING: translatable("Warning"),
    Result.OK: translatable("OK"),
    Result.NOT_SET: translatable("Not set"),
}

#: The most characters of a record that are stored and shown.
MAX_FOUND = 300


class Words(NamedTuple):
    """The sentence of a code, and what to do."""

    result: Result
    sentence: Translatable
    advice: Translatable = translatable("")


#: Every code with its words; the modules of the checks add theirs.
WORDS: dict[str, Words] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFinding:
    """One thing that was found about a domain."""

    record: Record
    code: str
    """A key of WORDS. It never changes."""
    values: Mapping[str, Any] = field(default_factory=dict)
    found: str = ""
    """The record as it is in the DNS, shortened."""

    @property
    def result(self) -> Result:
        """How severe it is; a code of a later version counts as a warning."""
        words = WORDS.get(self.code)
        return words.result if words else Result.WARNING

    @property
    def sentence(self) -> str:
        """What was found, in the active language."""
        words = WORDS.get(self.code)
        return _filled(words.sentence, self.values) if words else self.code.replace("_", " ")

    @property
    def advice(self) -> str:
        """What to do, in the active language; empty if there is nothing to do."""
        words = WORDS.get(self.code)
        return _filled(words.advice, self.values) if words and words.advice else ""

    @property
    def label(self) -> str:
        """The name of the record, in the active language."""
        return str(RECORD_LABELS[self.record])

    def as_json(self) -> dict[str, Any]:
        """As the database stores it."""
        return {"record": self.record.value, "code": self.code, "values": dict(self.values), "found": self.found}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DnsFinding:
        """From what the database has."""
        found = str(data.get("found", ""))
        return cls(record=Record(data["record"]), code=data["code"], values=data.get("values", {}), found=found)


def _filled(message: Translatable, values: Mapping[str, Any]) -> str:
    shown = {name: from_data(value) if isinstance(value, dict) else value for name, value in values.items()}
    return str(Translatable(message.message, values=shown) if shown else message)


def finding(record: Record, code: str, found: str = "", **values: Any) -> DnsFinding:
    """A finding with a code of WORDS. Values may be translatable sentences, such as the reason of a failed fetch."""
    if code not in WORDS:
        raise KeyError(code)
    shown = "".join(character if character.isprintable() else "�" for character in found)
    stored = {name: to_data(value) if isinstance(value, str) else value for name, value in values.items()}
    return DnsFinding(record=record, code=code, values=stored, found=shown[:MAX_FOUND])
