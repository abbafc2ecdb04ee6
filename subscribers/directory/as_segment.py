"""From the filters of the list to the rules of a segment that finds the same subscriptions."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from subscribers.directory.selection import NO_SOURCE, PAUSED, Selection, as_tree
from subscribers.models import MailingList, Segment, SubscriptionState, Tag
from subscribers.segments.rules import Match


def list_of(selection: Selection) -> MailingList | None:
    """The list that such a segment belongs to: that of the filters, else the only one; None if there are several."""
    if selection.mailing_list is None:
        for model, pk in ((Tag, selection.tag), (Segment, selection.segment)):
            row = model._default_manager.filter(pk=pk).select_related("mailing_list").first() if pk else None
            if row is not None:
                found: MailingList = row.mailing_list
                return found
    return selection.list_of_rules()


def tree_of(selection: Selection) -> tuple[dict[str, Any], list[str]]:
    """The rules as a segment stores them, unchecked, and a sentence for each filter that no rule can say."""
    rules: list[dict[str, Any]] = []
    if selection.state == PAUSED:
        rules += [_rule("state", "is", SubscriptionState.ACTIVE.value), _rule("paused", "is")]
    elif selection.state:
        rules.append(_rule("state", "is", selection.state))
    if selection.source:
        is_empty = selection.source == NO_SOURCE
        rules.append(_rule("source", "has_none") if is_empty else _rule("source", "is", selection.source))
    if selection.tag:
        rules.append(_rule("tag", "is", str(selection.tag)))
    if selection.segment:
        rules += _rules_of_segment(selection.segment)
    rules += [as_tree(each) for each in selection.rules]
    sentences = []
    if selection.text:
        sentences.append(_("The search text is left out: no rule of a segment searches in addresses."))
    return {"match": Match.ALL.value, "rules": rules}, sentences


def _rule(kind: str, comparison: str, value: str = "") -> dict[str, str]:
    return {"kind": kind, "field": "", "comparison": comparison, "value": value}


def _rules_of_segment(pk: int) -> list[dict[str, Any]]:
    """Its rules themselves, as the new segment must not change with it; of a picked one, a rule that names it."""
    segment = Segment.objects.filter(pk=pk).first()
    if segment is None:
        return []
    if segment.is_picked:
        return [_rule("picked", "in", str(pk))]
    stored = segment.rules
    # “All of these” inside of “all of these” needs no group of its own.
    return list(stored["rules"]) if stored.get("match") == Match.ALL.value else [stored]
