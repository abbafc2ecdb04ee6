"""The counts of an import, by outcome and beyond, as they are added up chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.content.archives.item import DateSource, Visibility
from newsletter.models import WITH_ISSUE, ArchiveEntry, EntryOutcome

DATE_SOURCES = {
    DateSource.HEAD.value: gettext_lazy("front matter"),
    DateSource.FILE_NAME.value: gettext_lazy("file name"),
    DateSource.TITLE.value: gettext_lazy("title"),
    DateSource.COLUMN.value: gettext_lazy("column"),
    DateSource.UNKNOWN.value: gettext_lazy("unknown"),
}

VISIBILITIES = {
    Visibility.PUBLIC.value: gettext_lazy("public"),
    Visibility.DRAFT.value: gettext_lazy("draft"),
    Visibility.PRIVATE.value: gettext_lazy("not public"),
    Visibility.MAIL_ONLY.value: gettext_lazy("mailed, never on the web"),
}

#: Beside the outcomes.
ON_WEB, DRAFTS, UNKNOWN_DATES, LINKS, LOST_LINKS, PICTURES = (
    "on_web",
    "drafts",
    "unknown_dates",
    "links",
    "lost_links",
    "pictures",
)

#: Before the code of where a date was found, and of the visibility at the old place.
DATE_FROM, THERE = "date:", "there:"

Counts = Mapping[str, int]


def counts_of(entries: Iterable[ArchiveEntry], *, of_check: bool) -> dict[str, int]:
    """The counts of some entries: as the check expects them, or as they came out."""
    counts: dict[str, int] = {}

    def add(name: str, number: int = 1) -> None:
        if number:
            counts[name] = counts.get(name, 0) + number

    for entry in entries:
        outcome = EntryOutcome(entry.expected if of_check else entry.outcome)
        add(outcome.value)
        if outcome not in WITH_ISSUE:
            continue
        add(DATE_FROM + (entry.date_source if entry.published_at else DateSource.UNKNOWN.value))
        add(THERE + entry.visibility)
        add(ON_WEB if entry.is_on_web else DRAFTS)
        add(UNKNOWN_DATES, int(entry.published_at is None))
        add(LINKS, entry.link_count)
        add(LOST_LINKS, entry.lost_link_count)
        add(PICTURES, len((entry.data or {}).get("pictures", ())))
    return counts


def added(one: Counts, other: Counts) -> dict[str, int]:
    """The sums of both."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}


def issues_in(counts: Counts) -> int:
    """How many entries are issues here."""
    return sum(counts.get(outcome.value, 0) for outcome in WITH_ISSUE)


def items_in(counts: Counts) -> int:
    """How many entries are past issues, or should have become some."""
    others = (EntryOutcome.REMOVED, EntryOutcome.FAILED)
    return issues_in(counts) + sum(counts.get(outcome.value, 0) for outcome in others)


def summary(counts: Counts) -> str:
    """What was imported, in a sentence."""
    values = {
        "issues": _number(issues_in(counts)),
        "items": _number(items_in(counts)),
        "on_web": _number(counts.get(ON_WEB, 0)),
        "drafts": ngettext("%(count)s draft", "%(count)s drafts", counts.get(DRAFTS, 0))
        % {"count": _number(counts.get(DRAFTS, 0))},
        "failed": _number(counts.get(EntryOutcome.FAILED, 0)),
        "links": ngettext("%(count)s link", "%(count)s links", counts.get(LINKS, 0))
        % {"count": _number(counts.get(LINKS, 0))},
        "lost": _number(counts.get(LOST_LINKS, 0)),
    }
    return (
        ngettext(
            "%(issues)s of %(items)s past issue became an issue here: %(on_web)s on the web, %(drafts)s; "
            "%(failed)s failed. %(links)s, %(lost)s lost.",
            "%(issues)s of %(items)s past issues became issues here: %(on_web)s on the web, %(drafts)s; "
            "%(failed)s failed. %(links)s, %(lost)s lost.",
            items_in(counts),
        )
        % values
    )


def outcome_lines(counts: Counts) -> list[tuple[str, int, str]]:
    """Label, number and details of each outcome that occurs."""
    details = {
        EntryOutcome.CREATED: _("%(on_web)s on the web, %(drafts)s as drafts, with those of earlier imports")
        if len([one for one in WITH_ISSUE if counts.get(one.value)]) > 1
        else _("%(on_web)s on the web, %(drafts)s as drafts"),
        EntryOutcome.FAILED: _("The report names the reasons."),
        EntryOutcome.NO_ISSUE: _("Pages, settings and the like"),
    }
    values = {"on_web": _number(counts.get(ON_WEB, 0)), "drafts": _number(counts.get(DRAFTS, 0))}
    return [
        (str(outcome.label), counts[outcome.value], details.get(outcome, "") % values)
        for outcome in EntryOutcome
        if counts.get(outcome.value)
    ]


def source_lines(counts: Counts) -> list[tuple[str, int]]:
    """Where dates were found, and what was public at the old place, each with the number of issues."""
    dates = [
        (_("Date from: %(source)s") % {"source": label}, counts[DATE_FROM + code])
        for code, label in DATE_SOURCES.items()
        if counts.get(DATE_FROM + code)
    ]
    there = [
        (_("At the old place: %(visibility)s") % {"visibility": label}, counts[THERE + code])
        for code, label in VISIBILITIES.items()
        if counts.get(THERE + code)
    ]
    return dates + there


def _number(value: int) -> str:
    return str(number_format(value, force_grouping=True))
