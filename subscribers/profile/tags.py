"""Tags: find or make them, and give them to subscriptions or take them away, in sets."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from subscribers.models import (
    ChangeKind,
    MailingList,
    Subscription,
    SubscriptionQuerySet,
    SubscriptionTag,
    Tag,
    check_header_text,
    tag_key,
)
from subscribers.profile.history import record_changes

#: Rows per statement, far below SQLite's limit of parameters.
CHUNK = 500

#: The longest name of a tag, and the most tags of one subscription.
MAX_NAME, MAX_TAGS = 60, 100


def clean_tag_name(text: str) -> str:
    """The name on one line. Raises ValidationError for a comma, which separates tags in files and forms."""
    name = " ".join(text.split())
    if "," in name:
        raise ValidationError(_("A tag cannot contain a comma, which separates tags."))
    return name


def tag_names(text: str) -> list[str]:
    """The names in a text, separated by commas, each once, also in other capital letters; too long ones are cut.

    Raises ValidationError for line breaks and invisible characters.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name = " ".join(part.split())[:MAX_NAME].strip()
        if name:
            check_header_text(name)
            found.setdefault(tag_key(name), name)
    return list(found.values())[:MAX_TAGS]


def get_tags(mailing_list: MailingList, names: Iterable[str]) -> list[Tag]:
    """The tags with these names, made where they are missing."""
    wanted = {tag_key(name): name for name in names}
    stored = Tag.objects.filter(mailing_list=mailing_list, key__in=wanted)
    known = {tag.key: tag for tag in stored}
    missing = [Tag(mailing_list=mailing_list, name=name, key=key) for key, name in wanted.items() if key not in known]
    if missing:
        # Another request may make the same tag at this moment.
        Tag.objects.bulk_create(missing, ignore_conflicts=True)
        known = {tag.key: tag for tag in stored.all()}
    return [known[key] for key in wanted]


def add_tag(tag: Tag, subscriptions: SubscriptionQuerySet, *, by: str) -> int:
    """Give the tag to those that do not have it; how many. Each gets a row in its history."""
    without = subscriptions.filter(mailing_list=tag.mailing_list_id).exclude(subscription_tags__tag=tag)
    count = 0
    with transaction.atomic():
        for chunk in _chunks(without):
            SubscriptionTag.objects.bulk_create(
                [SubscriptionTag(tag=tag, subscription=row) for row in chunk], ignore_conflicts=True
            )
            record_changes(chunk, ChangeKind.TAG_ADDED, {"tag": tag.name}, by=by)
            count += len(chunk)
    return count


def remove_tag(tag: Tag, subscriptions: SubscriptionQuerySet, *, by: str) -> int:
    """Take the tag from those that have it; how many."""
    tagged = subscriptions.filter(subscription_tags__tag=tag)
    count = 0
    with transaction.atomic():
        for chunk in _chunks(tagged):
            SubscriptionTag.objects.filter(tag=tag, subscription__in=[row.pk for row in chunk]).delete()
            record_changes(chunk, ChangeKind.TAG_REMOVED, {"tag": tag.name}, by=by)
            count += len(chunk)
    return count


def _chunks(rows: SubscriptionQuerySet) -> Iterable[list[Subscription]]:
    """In order of their keys, locked until the transaction ends, so that of two callers one does nothing."""
    locked, last = rows.select_for_update(of=("self",), no_key=True).order_by("pk"), 0
    while chunk := list(locked.filter(pk__gt=last)[:CHUNK]):
        yield chunk
        last = chunk[-1].pk
