"""Checks of what the law and mailbox providers ask of every mail: who sends it, from where, and the way out. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.preflight.findings import Finding, Inspection, Rendered, Severity
from newsletter.rendering import SlotContext, slot_token

FAMILY = "compliance"
WAY_OUT = "unsubscribe_url"


def check_compliance(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: no sender, no postal address, a part without its unsubscribe link (CAN-SPAM, R-14)."""
    sender = inspection.sender
    if not sender.name.strip():
        yield _must_fix("Newsletter", "The newsletter has no sender name. Enter the name that readers know it by.")
    if not sender.email.strip():
        yield _must_fix("Newsletter", "The newsletter has no sender address. Enter one on your verified domain.")
    if not sender.postal_address.strip():
        yield _must_fix(
            "Newsletter", "The newsletter has no postal address. The law asks for one in every mail: enter yours."
        )
    if inspection.rendered:
        yield from _check_way_out(inspection.rendered)


def _check_way_out(rendered: Rendered) -> Iterator[Finding]:
    if slot_token(rendered.nonce, WAY_OUT, SlotContext.HTML) not in rendered.html:
        yield _must_fix("HTML part", "The HTML part has no unsubscribe link. Put it back into the template.")
    if slot_token(rendered.nonce, WAY_OUT, SlotContext.PLAIN) not in rendered.text:
        yield _must_fix("Text part", "The text part has no unsubscribe link. Put it back into the template.")


def _must_fix(place: str, sentence: str) -> Finding:
    return Finding(Severity.MUST_FIX, FAMILY, place, sentence)
