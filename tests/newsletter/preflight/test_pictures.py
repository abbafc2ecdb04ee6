"""What pre-flight says about pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.content.document import SectionContent, SectionKind, StoryContent
from newsletter.content.picture_address import size_in
from newsletter.preflight.findings import KnownPicture
from newsletter.preflight.pictures import check_pictures, passed_pictures
from tests.newsletter.preflight.sample_issue import CRANE, PLAIN_ISSUE, inspection_of

OURS = f"https://news.example.org/media/ab/ab{'0' * 30}-crane-{{}}.jpg"
STORY, WIDE = OURS.format("360x240"), OURS.format("1200x500")
ELSEWHERE = "https://pictures.example/crane.jpg"


def codes(story: StoryContent, *, known: dict[str, KnownPicture] | None = None) -> list[str]:
    issue = replace(PLAIN_ISSUE, sections=(SectionContent(title="Deep dives", stories=(story,)),))
    inspection = replace(inspection_of(issue), pictures=known or {})
    return [finding.code for finding in check_pictures(inspection)]


def pictured(image: str = STORY, alt: str = "A crane in the fog") -> StoryContent:
    return replace(CRANE, image=image, alt=alt)


@pytest.mark.parametrize("image", [STORY, ELSEWHERE])
def test_a_described_picture_of_any_host_has_no_findings(image: str) -> None:
    assert codes(pictured(image), known={STORY: KnownPicture(bytes=40_000)}) == []


@pytest.mark.parametrize("image", [STORY, ELSEWHERE])
def test_a_picture_without_an_alternative_text_is_named(image: str) -> None:
    assert codes(pictured(image, alt=" "), known={STORY: KnownPicture(bytes=40_000)}) == ["no_description"]


def test_a_decorative_picture_needs_none() -> None:
    assert codes(pictured(alt=""), known={STORY: KnownPicture(bytes=40_000, is_decorative=True)}) == []


def test_a_heavy_picture_is_named() -> None:
    assert codes(pictured(), known={STORY: KnownPicture(bytes=300_001)}) == ["heavy"]


def test_a_picture_beside_a_story_must_be_three_by_two() -> None:
    assert codes(pictured(WIDE)) == ["squeezed"]


def test_pictures_that_are_heavy_together_are_a_finding_about_the_issue() -> None:
    images = [OURS.format(f"{width}x{width * 2 // 3}") for width in (300, 303, 306, 309)]
    blocks = [SectionContent(kind=SectionKind.IMAGE, image=image, alt="A crane") for image in images]
    inspection = replace(
        inspection_of(replace(PLAIN_ISSUE, sections=(*PLAIN_ISSUE.sections, *blocks))),
        pictures={image: KnownPicture(bytes=260_000) for image in images},
    )

    (finding,) = check_pictures(inspection)

    assert (finding.code, finding.place) == ("heavy_together", "")
    assert "1.0 MB together" in finding.message
    assert passed_pictures(inspection) == "All 4 pictures have an alternative text, or are decorative."


def test_an_issue_without_pictures_was_not_checked() -> None:
    assert passed_pictures(inspection_of(PLAIN_ISSUE)) == ""


@pytest.mark.parametrize(
    ("address", "size"),
    [
        (STORY, (360, 240)),
        (WIDE, (1200, 500)),
        (ELSEWHERE, None),
        ("https://elsewhere.example/photo-300x200.jpg", None),
        (STORY + "?x=1", None),
        ("", None),
    ],
)
def test_the_size_of_a_picture_of_ours_is_in_its_name(address: str, size: tuple[int, int] | None) -> None:
    assert size_in(address) == size
