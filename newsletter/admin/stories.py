"""Stories and sources across issues, ranked by human clicks: a page, and each of both as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from newsletter.admin.csv_file import csv_answer
from newsletter.admin.report_choice import PERIODS, Choice, answer, page
from newsletter.admin.time_format import zone_of
from newsletter.models import STORY, EngagementSource
from newsletter.models.rates import MIN_FOR_RATE, percent
from newsletter.reports.stories import LIMIT, RankedSource, RankedStory, has_counted, top_sources, top_stories
from subscribers.exports.columns import guarded

#: What is no story, in words.
KINDS = {
    "section": gettext_lazy("Section"),
    "text": gettext_lazy("Text"),
    "callout": gettext_lazy("Callout"),
    "quote": gettext_lazy("Quote"),
    "button": gettext_lazy("Button"),
    "image": gettext_lazy("Image"),
    "links": gettext_lazy("List of links"),
    "sponsor": gettext_lazy("Sponsor"),
}

STORY_COLUMNS = (
    *("rank", "title", "kind", "source", "url", "issue", "sent_at", "human_clicks", "machine_hits"),
    *("of_mails", "mails_are"),
)
SOURCE_COLUMNS = ("rank", "source", "stories", "human_clicks", "clicks_per_story", "best_story", "best_story_clicks")

#: Rows of a CSV.
CSV_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class ShownStory:
    """A story in words."""

    story: RankedStory
    kind: str
    date: str
    rate: str
    url: str


@dataclass(frozen=True, slots=True)
class ShownSource:
    """A source in words."""

    source: RankedSource
    per_story: str
    url: str


@require_safe
def show_stories(request: HttpRequest) -> HttpResponse:
    """The page, or the answer 400."""
    return answer(request, _page, with_period=True)


@require_safe
def show_stories_csv(request: HttpRequest) -> HttpResponse:
    """The stories of the page and more. Names of columns do not depend on the language."""
    return answer(request, _stories_csv, with_period=True)


@require_safe
def show_sources_csv(request: HttpRequest) -> HttpResponse:
    """The same for the sources."""
    return answer(request, _sources_csv, with_period=True)


def _page(request: HttpRequest, choice: Choice) -> HttpResponse:
    newsletter, url = choice.newsletter, reverse("stories_and_sources")
    stories, sources = _rankings(choice, LIMIT)
    zone = zone_of(newsletter.time_zone) if newsletter else zone_of("UTC")
    return page(
        request,
        choice,
        _("Stories and sources"),
        "admin/newsletter/stories.html",
        periods=[
            (label, f"{url}?{choice.query(period=period.value)}", period is choice.period)
            for period, label in PERIODS.items()
        ],
        period=choice.period.value,
        stories=[
            ShownStory(
                story=story,
                kind="" if story.kind == STORY else str(KINDS.get(story.kind, story.kind)),
                date=date_format(story.sent_at.astimezone(zone), "DATE_FORMAT"),
                rate=_rate(story),
                url=reverse("admin:newsletter_issue_report", args=[story.issue]),
            )
            for story in stories
        ],
        sources=[
            ShownSource(
                source=source,
                per_story=number_format(source.per_story, decimal_pos=1),
                url=reverse("admin:newsletter_issue_report", args=[source.best_issue]),
            )
            for source in sources
        ],
        limit=LIMIT,
        is_off=newsletter is not None and newsletter.engagement_source == EngagementSource.NONE,
        has_counted=bool(stories) or (newsletter is not None and has_counted(newsletter.pk)),
        stories_csv_url=f"{reverse('stories_csv')}?{choice.query()}",
        sources_csv_url=f"{reverse('sources_csv')}?{choice.query()}",
    )


def _rankings(choice: Choice, limit: int) -> tuple[Sequence[RankedStory], Sequence[RankedSource]]:
    if choice.newsletter is None:
        return [], []
    since = choice.since(timezone.now())
    return top_stories(choice.newsletter.pk, since, limit), top_sources(choice.newsletter.pk, since, limit)


def _rate(story: RankedStory) -> str:
    """Of few mails a share says nothing."""
    return percent(story.humans, story.base.count) if story.base.count >= MIN_FOR_RATE else "–"


def _stories_csv(request: HttpRequest, choice: Choice) -> HttpResponse:
    since = choice.since(timezone.now())
    stories = top_stories(choice.newsletter.pk, since, CSV_LIMIT) if choice.newsletter else []
    rows = (
        (
            *(rank, guarded(story.title), story.kind, guarded(story.source), guarded(story.url)),
            *(guarded(story.issue_title), story.sent_at.isoformat(timespec="seconds")),
            *(story.humans, story.machine_hits, story.base.count),
            "delivered" if story.base.is_delivered else "accepted",
        )
        for rank, story in enumerate(stories, 1)
    )
    return csv_answer("stories", STORY_COLUMNS, rows)


def _sources_csv(request: HttpRequest, choice: Choice) -> HttpResponse:
    since = choice.since(timezone.now())
    sources = top_sources(choice.newsletter.pk, since, CSV_LIMIT) if choice.newsletter else []
    rows = (
        (
            *(rank, guarded(source.source), source.stories, source.humans, f"{source.per_story:.2f}"),
            *(guarded(source.best), source.best_humans),
        )
        for rank, source in enumerate(sources, 1)
    )
    return csv_answer("sources", SOURCE_COLUMNS, rows)
