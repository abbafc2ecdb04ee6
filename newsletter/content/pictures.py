"""Where pictures of the library stand in content: noted with each save, found, and replaced in drafts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from newsletter.content.document import IssueContent, SectionContent, SectionKind
from newsletter.content.fields import section_name
from newsletter.models import (
    Edition,
    EditionPicture,
    Issue,
    IssuePicture,
    Picture,
    PictureFile,
    Section,
    Story,
    path_in,
)

#: Issues that are named where a picture is used.
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Use:
    """One place of a picture in the present content of an issue."""

    issue: Issue
    section: str
    """The name of the part."""
    story: int = 0
    """The number of the story in it, from 1; 0 for the part itself."""


def addresses_in(content: IssueContent) -> Iterator[str]:
    """The addresses of all pictures, in reading order."""
    for section in content.sections:
        if section.image:
            yield section.image
        yield from (story.image for story in section.stories if story.image)


def files_at(addresses: Collection[str], newsletter_id: int) -> dict[str, PictureFile]:
    """The files of this newsletter's library with their pictures, by address. One query, none without our addresses."""
    paths = {path: address for address in addresses if (path := path_in(address))}
    if not paths:
        return {}
    found = PictureFile.objects.filter(path__in=paths, picture__newsletter=newsletter_id).select_related("picture")
    return {paths[file.path]: file for file in found}


def note_in_issue(issue: Issue, content: IssueContent) -> None:
    """Note which pictures the content of the issue has, in place of those that it had."""
    wanted = {file.picture_id for file in files_at(list(addresses_in(content)), issue.newsletter_id).values()}
    issue.pictures.exclude(picture__in=wanted).delete()
    IssuePicture.objects.bulk_create(
        (IssuePicture(issue=issue, picture_id=pk) for pk in sorted(wanted)), ignore_conflicts=True
    )


def note_in_edition(edition: Edition, newsletter_id: int) -> None:
    """Note which pictures the stored edition has. They stay as long as it does."""
    parts = [part for section in edition.content.get("sections", ()) for part in (section, *section.get("stories", ()))]
    addresses = [part["image"] for part in parts if part.get("image")]
    wanted = {file.picture_id for file in files_at(addresses, newsletter_id).values()}
    EditionPicture.objects.bulk_create(
        (EditionPicture(edition=edition, picture_id=pk) for pk in sorted(wanted)), ignore_conflicts=True
    )


def sent_with(picture: Picture) -> Issue | None:
    """An issue of which an edition has the picture: it may be in mails. None if it is in no edition."""
    noted = picture.editions.select_related("edition__issue").order_by("-pk").first()
    return noted.edition.issue if noted else None


def uses_of(picture: Picture) -> list[Use]:
    """Where the newest MOST_NAMED issues have it. A fixed number of queries."""
    issues = {
        noted.issue_id: noted.issue for noted in picture.issues.select_related("issue").order_by("-issue")[:MOST_NAMED]
    }
    addresses = [file.address for file in picture.files.all()]
    sections = Section.objects.filter(issue__in=issues, image__in=addresses)
    stories = Story.objects.filter(section__issue__in=issues, image__in=addresses).select_related("section")
    found = [
        *((section, 0) for section in sections),
        *((story.section, story.position) for story in stories),
    ]
    found.sort(key=lambda each: (-each[0].issue_id, each[0].position, each[1]))
    return [Use(issues[section.issue_id], section_name_of(section), story) for section, story in found]


def section_name_of(section: Section) -> str:
    """The name of a stored part: its kind and title, or its position."""
    return section_name(SectionContent(kind=SectionKind(section.kind), title=section.title), section.position)


def with_addresses(content: IssueContent, moved: Mapping[str, str]) -> IssueContent:
    """`content` with the new addresses of pictures instead of their old ones."""
    return replace(
        content,
        sections=tuple(
            replace(
                section,
                image=moved.get(section.image, section.image),
                stories=tuple(replace(story, image=moved.get(story.image, story.image)) for story in section.stories),
            )
            for section in content.sections
        ),
    )
