"""Slugs that are made by the program: a number is appended as long as another issue has the slug."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from newsletter.content.fields import LIMITS
from newsletter.models import Issue


def slug_candidates(wanted: str) -> Iterator[str]:
    """`wanted`, then with -2, -3 and so on; cut so that each fits."""
    yield wanted[: LIMITS["slug"]]
    for number in itertools.count(2):
        suffix = f"-{number}"
        yield wanted[: LIMITS["slug"] - len(suffix)].rstrip("-") + suffix


def free_slug(newsletter_pk: int, wanted: str) -> str:
    """The first candidate that no issue of the newsletter has; one query. Free as long as the newsletter is locked."""
    start = wanted[: LIMITS["slug"] - 10].rstrip("-")
    taken = set(Issue.objects.filter(newsletter=newsletter_pk, slug__startswith=start).values_list("slug", flat=True))
    return next(slug for slug in slug_candidates(wanted) if slug not in taken)
