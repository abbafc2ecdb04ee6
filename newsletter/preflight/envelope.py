"""Checks of what an inbox shows before the mail is opened: subject and preheader. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.content.fields import field_faults
from newsletter.preflight.findings import Finding, Inspection, Severity

FAMILY = "envelope"
SHOWN_OF_SUBJECT = 60
"""Characters of a subject that most inboxes show."""


def check_envelope(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: an empty subject, one of more than 200 characters (R-20) or with control characters (R-19)."""
    subject, preheader = inspection.content.subject, inspection.content.preheader
    if not subject.strip():
        yield Finding(Severity.MUST_FIX, FAMILY, "Subject", "The subject is empty. Write one.")
    for fault in field_faults("subject", subject):
        yield Finding(Severity.MUST_FIX, FAMILY, "Subject", fault)
    for fault in field_faults("preheader", preheader):
        yield Finding(Severity.MUST_FIX, FAMILY, "Preheader", fault)
    if len(subject) > SHOWN_OF_SUBJECT:
        yield Finding(
            Severity.LOOK_AT,
            FAMILY,
            "Subject",
            f"The subject is {len(subject)} characters long; most inboxes show the first {SHOWN_OF_SUBJECT}.",
        )
    if not preheader.strip():
        yield Finding(
            Severity.LOOK_AT,
            FAMILY,
            "Preheader",
            "There is no preheader, so inboxes show the mail's first words. Write a line that completes the subject.",
        )
