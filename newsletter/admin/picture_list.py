"""What the library of pictures shows: a part of the list, newest first, with what each is used in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.models import EditionPicture, FileUse, IssuePicture, Newsletter, Picture, PictureFile
from subscribers.admin.filters import MAX_KEY_DIGITS

#: Pictures of one page.
PAGE = 60
MOST_SEARCHED = 100

ALL, UNUSED, NO_ALT = "", "unused", "no-alt"
FILTERS = {ALL: gettext_lazy("All"), UNUSED: gettext_lazy("Not used"), NO_ALT: gettext_lazy("No alternative text")}


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for by the parameters of the page; unknown values ask for nothing."""

    newsletter: Newsletter
    search: str = ""
    filter: str = ALL
    before: int | None = None
    """Only pictures that were added before this one, by key."""

    def url(self, **changes: object) -> str:
        """The parameters of the same page with changes; empty ones are left out."""
        values = {"newsletter": self.newsletter.pk, "q": self.search, "filter": self.filter, **changes}
        return "?" + urlencode({name: value for name, value in values.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One picture of the grid."""

    picture: Picture
    story: PictureFile
    large: PictureFile
    used: str
    """Where, in words."""
    url: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the whole library of a newsletter."""

    pictures: int
    without_alt: int
    bytes: int


def query_of(newsletter: Newsletter, parameters: dict[str, str]) -> Query:
    """The query of a request's parameters."""
    chosen, before = parameters.get("filter", ALL), parameters.get("before", "")
    is_key = before.isascii() and before.isdigit() and len(before) <= MAX_KEY_DIGITS
    search = parameters.get("q", "").replace("\0", "").strip()[:MOST_SEARCHED]
    return Query(newsletter, search, chosen if chosen in FILTERS else ALL, int(before) if is_key else None)


def cells_of(query: Query) -> tuple[list[Cell], int | None]:
    """The cells of one page, and the key that the next page begins before; None on the last. Three queries."""
    rows = list(_found(query).order_by("-pk")[: PAGE + 1])
    shown = rows[:PAGE]
    files: dict[tuple[int, str], PictureFile] = {
        (file.picture_id, file.use): file for file in PictureFile.objects.filter(picture__in=shown, is_current=True)
    }
    used = _used_in(shown)
    cells = [
        Cell(
            picture=picture,
            story=files[picture.pk, FileUse.STORY],
            large=files[picture.pk, FileUse.LARGE],
            used=used_words(used[picture.pk]),
            url=query.url(picture=picture.pk, before=query.before or ""),
        )
        for picture in shown
    ]
    return cells, shown[-1].pk if len(rows) > PAGE else None


def totals_of(newsletter: Newsletter) -> Totals:
    """The totals of a newsletter. Two statements."""
    lacking = Q(alt="", is_decorative=False)
    counts = Picture.objects.filter(newsletter=newsletter).aggregate(
        pictures=Count("pk"), without_alt=Count("pk", filter=lacking)
    )
    size = PictureFile.objects.filter(picture__newsletter=newsletter).aggregate(bytes=Sum("bytes"))
    return Totals(counts["pictures"], counts["without_alt"], size["bytes"] or 0)


def used_words(titles: Sequence[str]) -> str:
    """In how many issues, or in which one."""
    if not titles:
        return _("not used")
    if len(titles) == 1:
        return _("in “%(issue)s”") % {"issue": titles[0]}
    return _("in %(count)s issues") % {"count": len(titles)}


def _found(query: Query) -> QuerySet[Picture]:
    pictures = Picture.objects.filter(newsletter=query.newsletter)
    in_issues = IssuePicture.objects.filter(picture=OuterRef("pk"))
    if query.filter == UNUSED:
        in_editions = EditionPicture.objects.filter(picture=OuterRef("pk"))
        pictures = pictures.filter(~Exists(in_issues), ~Exists(in_editions))
    elif query.filter == NO_ALT:
        pictures = pictures.filter(alt="", is_decorative=False)
    if query.search:
        words = query.search
        pictures = pictures.filter(
            Q(name__icontains=words)
            | Q(alt__icontains=words)
            | Q(credit__icontains=words)
            | Exists(in_issues.filter(issue__title__icontains=words))
        )
    return pictures.filter(pk__lt=query.before) if query.before else pictures


def _used_in(pictures: Sequence[Picture]) -> dict[int, list[str]]:
    """The titles of the issues that have each; those of which only an edition has it, too."""
    found: dict[int, dict[int, str]] = defaultdict(dict)
    drafts = IssuePicture.objects.filter(picture__in=pictures).values_list("picture", "issue", "issue__title")
    frozen = EditionPicture.objects.filter(picture__in=pictures).values_list(
        "picture", "edition__issue", "edition__issue__title"
    )
    for picture, issue, title in (*drafts, *frozen):
        found[picture][issue] = title
    return defaultdict(list, {picture: list(issues.values()) for picture, issues in found.items()})
