"""The audience of an issue in the database: names become lists, segments and a topic, and back."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.content.document import AudienceContent
from newsletter.models import AudiencePart, AudiencePartKind, Issue
from subscribers.models import MailingList, Segment, Topic

#: What stands between the slug of another list and the name of its segment.
SEPARATOR = ": "


def load_audience(issue: Issue) -> AudienceContent:
    """The audience of the issue by the names that its parts have now; one query."""
    parts = list(parts_of(issue))

    def names(kind: AudiencePartKind) -> tuple[str, ...]:
        return tuple(name_of(part, issue.newsletter_id) for part in parts if part.kind == kind)

    return AudienceContent(
        lists=names(AudiencePartKind.LIST),
        segments=names(AudiencePartKind.SEGMENT),
        exclude=names(AudiencePartKind.EXCLUDED),
        topic=next(iter(names(AudiencePartKind.TOPIC)), ""),
    )


def parts_of(issue: Issue) -> Iterator[AudiencePart]:
    """The parts of the issue's audience in their order, with what they name; one query.

    What a broken part names may exist by now: then the part is returned with it.
    """
    found = issue.audience_parts.select_related("mailing_list", "segment__mailing_list", "topic")
    for part in found.order_by("position"):
        if part.mailing_list is None and part.segment is None and part.topic is None:
            _find_target(part, issue.newsletter_id)
        yield part


def _find_target(part: AudiencePart, own_list: int) -> None:
    if part.kind == AudiencePartKind.LIST:
        part.mailing_list = MailingList.objects.filter(slug=part.name).exclude(pk=own_list).first()
    elif part.kind == AudiencePartKind.TOPIC:
        part.topic = Topic.objects.filter(mailing_list=own_list, slug=part.name).first()
    else:
        part.segment = _segment(part.name, own_list)


def name_of(part: AudiencePart, own_list: int) -> str:
    """How the part is written; for a broken one, how it was written."""
    if part.mailing_list:
        return part.mailing_list.slug
    if part.topic:
        return part.topic.slug
    return segment_name(part.segment, own_list) if part.segment else part.name


def segment_name(segment: Segment, own_list: int) -> str:
    """How a segment is written in the audience of an issue whose newsletter has the list `own_list`."""
    if segment.mailing_list_id == own_list:
        return segment.name
    return f"{segment.mailing_list.slug}{SEPARATOR}{segment.name}"


def store_audience(issue: Issue, audience: AudienceContent) -> None:
    """Replace the parts of the issue's audience. A name that names nothing is stored as a broken part."""
    issue.audience_parts.all().delete()
    named = [
        *((AudiencePartKind.LIST, name) for name in audience.lists),
        *((AudiencePartKind.SEGMENT, name) for name in audience.segments),
        *((AudiencePartKind.EXCLUDED, name) for name in audience.exclude),
        *((AudiencePartKind.TOPIC, name) for name in (audience.topic,) if name),
    ]
    parts = [
        AudiencePart(issue=issue, position=position, kind=kind, name=name)
        for position, (kind, name) in enumerate(named, start=1)
    ]
    for part in parts:
        _find_target(part, issue.newsletter_id)
    AudiencePart.objects.bulk_create(parts)


def _segment(name: str, own_list: int) -> Segment | None:
    """The segment of the newsletter's own list, or of another one whose slug stands before; None if both exist."""
    found = list(Segment.objects.filter(mailing_list=own_list, name=name))
    slug, separator, rest = name.partition(SEPARATOR)
    if separator:
        others = Segment.objects.filter(mailing_list__slug=slug, name=rest).exclude(mailing_list=own_list)
        found += others.select_related("mailing_list")
    return found[0] if len(found) == 1 else None
