"""Which segments name a tag, a topic, a field or another segment in their rules; merging tags, which changes rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from subscribers.models import CustomField, MailingList, Segment, SubscriptionTag, Tag, Topic


def segments_with(mailing_list: MailingList, names: Callable[[dict[str, Any]], bool]) -> list[Segment]:
    """The list's segments with a rule for which `names` is true, by name. Stored rules may be out of date."""
    stored = Segment.objects.filter(mailing_list=mailing_list, is_picked=False).order_by("name")
    return [segment for segment in stored if any(names(rule) for rule in rules_in(segment.rules))]


def segments_with_tag(tag: Tag) -> list[Segment]:
    """The segments with a rule about this tag."""
    return segments_with(tag.mailing_list, lambda rule: rule.get("kind") == "tag" and rule.get("value") == str(tag.pk))


def segments_with_topic(topic: Topic) -> list[Segment]:
    """The segments with a rule about this topic."""
    return segments_with(
        topic.mailing_list, lambda rule: rule.get("kind") == "topic" and rule.get("value") == str(topic.pk)
    )


def segments_with_field(field: CustomField) -> list[Segment]:
    """The segments with a rule about this field."""
    return segments_with(
        field.mailing_list, lambda rule: rule.get("kind") == "field" and rule.get("field") == field.key
    )


def segments_with_segment(picked: Segment) -> list[Segment]:
    """The segments with a rule about this one."""
    return segments_with(
        picked.mailing_list, lambda rule: rule.get("kind") == "picked" and rule.get("value") == str(picked.pk)
    )


def merge_tags(source: Tag, target: Tag) -> int:
    """Give `target` to all that have `source`, in rules as well, and delete `source`; how many got a new tag.

    Raises ValueError for tags of different lists, and for a tag and itself.
    """
    if source.mailing_list_id != target.mailing_list_id or source.pk == target.pk:
        raise ValueError("Only two different tags of one list can be merged.")
    with transaction.atomic():
        # In one order, so that two editors who merge the same tags at once do not wait for each other.
        list(Tag.objects.select_for_update().filter(pk__in=(source.pk, target.pk)).order_by("pk"))
        has_both = SubscriptionTag.objects.filter(tag=target.pk, subscription=OuterRef("subscription"))
        moved = SubscriptionTag.objects.filter(~Exists(has_both), tag=source.pk).update(tag=target.pk)
        for segment in segments_with_tag(source):
            for rule in rules_in(segment.rules):
                if rule.get("kind") == "tag" and rule.get("value") == str(source.pk):
                    rule["value"] = str(target.pk)
            segment.save(update_fields=["rules", "updated_at"])
        source.delete()
    return moved


def rules_in(tree: Any) -> Iterator[dict[str, Any]]:
    """Each rule of a stored tree. Parts of another shape are left out."""
    if not isinstance(tree, dict):
        return
    if isinstance(tree.get("rules"), list):
        for each in tree["rules"]:
            yield from rules_in(each)
    elif "kind" in tree:
        yield tree
