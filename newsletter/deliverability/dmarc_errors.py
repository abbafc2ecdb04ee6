"""Why a file with DMARC reports is refused: codes, and their sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from newsletter.config.translatable import Translatable, translatable

_MESSAGES: dict[str, Translatable] = {
    "too_large": translatable("The file has more than {megabytes} MB, packed or unpacked. Reports are far smaller."),
    "unknown_format": translatable(
        "This is neither XML nor a .gz or .zip file with XML, nor a saved mail with such an attachment."
    ),
    "damaged": translatable("The packed file is damaged. Save the attachment of the mail again."),
    "encrypted": translatable("The ZIP file is protected with a password. Upload the XML in it."),
    "compression": translatable("The ZIP file is packed in a way that reports are not. Upload the XML in it."),
    "nested": translatable("The ZIP file contains another packed file. Upload the XML in it."),
    "too_many_files": translatable("There are more than {limit} files in it. Upload them in several steps."),
    "no_attachment": translatable("The mail has no attachment that may be a report: .xml, .gz or .zip."),
    "no_report": translatable("There is no XML file in it."),
    "declarations": translatable("The XML declares a document type or entities, which no report does. It is not read."),
    "invalid_xml": translatable("The XML is not well-formed. Save the attachment of the mail again."),
    "not_dmarc": translatable("The XML is not a DMARC aggregate report: its first element is not <feedback>."),
    "missing": translatable("The report has no {name}."),
    "invalid": translatable("The report has an invalid {name}: {value}."),
    "dates": translatable("The report is about {first} to {last}, which is no time span that a report can have."),
    "too_old": translatable("The report is about {first}, and reports are kept for {days} days."),
    "too_many_rows": translatable("The report has more than {limit} rows."),
    "other_domain": translatable("The report is about {domain}, and no newsletter sends from it."),
}


def dmarc_message(code: str, values: Mapping[str, Any]) -> str:
    """The sentence of a code, with its values; empty for an unknown code."""
    message = _MESSAGES.get(code)
    if message is None:
        return ""
    return Translatable(message.message, values=dict(values)) if values else message


class DmarcError(Exception):
    """The file is refused as it is: the same file is refused again. `code` never changes."""

    permanent, retryable = True, False

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(dmarc_message(code, values))
        self.code, self.values = code, values

    def __str__(self) -> str:
        """The sentence in the active language."""
        return str(self.args[0])
