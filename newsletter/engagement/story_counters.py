"""Sums for pages about many issues: clicks of each story, and in each hour; kept with the counters that they sum up.

send starts ─► list_stories: a row for each story ─► summed up from the counters
                                                         │
hits ─► judgement ─► add_to_counters ─► add_to_stories: the same changes, in the same transaction
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from newsletter.engagement.stories import linked_stories
from newsletter.models import (
    OTHER_LINK,
    STARTED,
    WHOLE_MAIL,
    ClickHour,
    Edition,
    EditionStory,
    Send,
    Verdict,
    numbered_links,
)
from newsletter.models.bulk_sql import execute_with_rows

#: The largest number that a link can have.
LAST_NUMBER = 32_767

#: Editions whose stories one run of the step lists.
EDITIONS_PER_RUN = 20

Clicks = Mapping[tuple[int, datetime.datetime, str], tuple[int, int]]
"""Hits, and visitors among them, by number, hour and verdict; below zero where there are fewer now."""

ADD_TO_STORIES = """
    UPDATE newsletter_editionstory SET humans = newsletter_editionstory.humans + rows.humans,
        machine_hits = newsletter_editionstory.machine_hits + rows.machine_hits
    FROM {rows} WHERE newsletter_editionstory.id = rows.id
"""
STORY_COLUMNS = {"id": "bigint", "humans": "int", "machine_hits": "int"}

#: In two statements: PostgreSQL checks a row that would be inserted, and changes alone may be below zero.
ADD_HOURS = """
    INSERT INTO newsletter_clickhour (edition_id, hour, humans)
    SELECT rows.edition_id, rows.hour, 0 FROM {rows} WHERE true ON CONFLICT (edition_id, hour) DO NOTHING
"""
ADD_TO_HOURS = """
    UPDATE newsletter_clickhour SET humans = newsletter_clickhour.humans + rows.humans
    FROM {rows} WHERE newsletter_clickhour.edition_id = rows.edition_id AND newsletter_clickhour.hour = rows.hour
"""
HOUR_COLUMNS = {"edition_id": "bigint", "hour": "timestamptz", "humans": "int"}

_SUM = """
    COALESCE((SELECT sum({what}) FROM newsletter_engagementcounter c
        WHERE c.edition_id = newsletter_editionstory.edition_id AND c.verdict {verdict}
            AND c.number BETWEEN newsletter_editionstory.first_number AND newsletter_editionstory.last_number), 0)
"""
SUM_UP_STORIES = f"""
    UPDATE newsletter_editionstory SET
        humans = {_SUM.format(what="c.visitors", verdict=f"= '{Verdict.HUMAN.value}'")},
        machine_hits = {_SUM.format(what="c.hits", verdict=f"<> '{Verdict.HUMAN.value}'")}
    WHERE edition_id = %s
"""  # noqa: S608 - constants
SUM_UP_HOURS = f"""
    INSERT INTO newsletter_clickhour (edition_id, hour, humans)
    SELECT edition_id, hour, sum(visitors) FROM newsletter_engagementcounter
    WHERE edition_id = %s AND verdict = '{Verdict.HUMAN.value}' AND number >= {OTHER_LINK}
    GROUP BY edition_id, hour HAVING sum(visitors) > 0
"""  # noqa: S608 - constants


def list_stories(limit: int = EDITIONS_PER_RUN) -> bool:
    """List the stories of editions that are on the way to recipients; whether there may be more. A step of the worker.

    Editions from before there was such a list have their turn, too.
    """
    listed = EditionStory.objects.filter(edition=OuterRef("edition"), position=WHOLE_MAIL)
    due = Send.objects.filter(~Exists(listed), state__in=STARTED).order_by("pk")
    keys = list(due.values_list("edition", flat=True)[:limit])
    for key in keys:
        _list_stories_of(key)
    return len(keys) == limit


def _list_stories_of(edition_pk: int) -> None:
    """With the edition locked, as it is while its hits are judged: a click is summed up here or added there."""
    with transaction.atomic():
        editions = Edition.objects.select_for_update(no_key=True).only("pk", "engagement", "content")
        edition = editions.get(pk=edition_pk)
        if EditionStory.objects.filter(edition=edition).exists():
            return
        source = edition.engagement.get("source", "")
        whole = EditionStory(edition=edition, position=WHOLE_MAIL, source=source)
        whole.first_number, whole.last_number = OTHER_LINK, LAST_NUMBER
        stories = linked_stories(edition.content, numbered_links(edition))
        EditionStory.objects.bulk_create(
            [whole]
            + [
                EditionStory(
                    edition=edition,
                    position=position,
                    kind=story.kind,
                    title=story.title,
                    source=story.source,
                    url=story.url,
                    first_number=story.first_number,
                    last_number=story.last_number,
                )
                for position, story in enumerate(stories, start=1)
            ]
        )
        sum_up(edition)


def add_to_stories(edition: Edition, clicks: Clicks) -> None:
    """Add changes of the counters to the sums, in their transaction, with the edition locked.

    Nothing is added for an edition that is not listed: it is summed up when it is.
    """
    rows = EditionStory.objects.filter(edition=edition).order_by("pk")
    stories = list(rows.values_list("pk", "first_number", "last_number"))
    if not stories:
        return
    humans: Counter[int] = Counter()
    machine_hits: Counter[int] = Counter()
    by_hour: Counter[datetime.datetime] = Counter()
    for (number, hour, verdict), (hits, visitors) in clicks.items():
        if number < OTHER_LINK:
            continue
        if verdict == Verdict.HUMAN.value:
            humans[number] += visitors
            by_hour[hour] += visitors
        else:
            machine_hits[number] += hits
    sums = [(pk, _between(humans, first, last), _between(machine_hits, first, last)) for pk, first, last in stories]
    execute_with_rows(ADD_TO_STORIES, STORY_COLUMNS, (row for row in sums if row[1] or row[2]))
    hours = [(edition.pk, hour, count) for hour, count in sorted(by_hour.items()) if count]
    execute_with_rows(ADD_HOURS, HOUR_COLUMNS, hours)
    execute_with_rows(ADD_TO_HOURS, HOUR_COLUMNS, hours)


def _between(counts: Mapping[int, int], first: int, last: int) -> int:
    return sum(count for number, count in counts.items() if first <= number <= last)


def sum_up(edition: Edition) -> None:
    """Make the sums of a listed edition anew from its counters. The edition is locked."""
    if not EditionStory.objects.filter(edition=edition).exists():
        return
    ClickHour.objects.filter(edition=edition).delete()
    with connection.cursor() as cursor:
        cursor.execute(SUM_UP_STORIES, [edition.pk])
        cursor.execute(SUM_UP_HOURS, [edition.pk])
