"""The audience in words, for pages and commands, in the active language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.sending.audience import Audience, AudienceList, AudienceSegment

#: The reasons for which subscriptions are left out of an audience.
EXCLUSIONS = {
    "waiting_for_confirmation": gettext_lazy("waiting for confirmation"),
    "unsubscribed": gettext_lazy("unsubscribed"),
    "suppressed": gettext_lazy("on the suppression list"),
    "paused": gettext_lazy("paused"),
    "own_list_left": gettext_lazy("left or paused this newsletter"),
    "weekly": gettext_lazy("get it with the weekly digest"),
    "each_issue": gettext_lazy("got each issue by itself"),
    "topic": gettext_lazy("opted out of the topic"),
    "excluded_segment": gettext_lazy("in an excluded segment"),
    "not_in_segment": gettext_lazy("not in a chosen segment"),
    "not_allowed": gettext_lazy("not in ALLOWED_RECIPIENTS"),
    "cancelled_before_their_turn": gettext_lazy("cancelled before it went out, and before the mail was prepared"),
}


def audience_in_words(audience: Audience) -> tuple[str, ...]:
    """Each list with its segments, then what is left out; a single sentence for the newsletter's own list."""
    if audience.is_default and audience.digest_at is None:
        return (
            _("All active subscribers of %(list)s.") % {"list": audience.lists[0].name},
            *_weekly_in_words(audience),
        )
    included = [segment for segment in audience.segments if not segment.is_excluded]
    excluded = [segment for segment in audience.segments if segment.is_excluded]
    sentences = [*(_list_in_words(each, included) for each in audience.lists), *_weekly_in_words(audience)]
    if excluded:
        sentence = ngettext("Without the segment %(names)s.", "Without the segments %(names)s.", len(excluded))
        sentences.append(sentence % {"names": _names(excluded)})
    if audience.topic:
        sentence = _("Without subscribers who opted out of the topic “%(topic)s”.")
        sentences.append(sentence % {"topic": audience.topic.name})
    return (*sentences, *map(str, audience.problems))


def _weekly_in_words(audience: Audience) -> tuple[str, ...]:
    if audience.digest_at is not None:
        return (_("Only those who get the weekly digest."),)
    if audience.leaves_out_weekly:
        return (_("Without those who get the weekly digest: the issue is in the next one."),)
    return ()


def _list_in_words(mailing_list: AudienceList, included: Iterable[AudienceSegment]) -> str:
    segments = [segment for segment in included if segment.list_pk == mailing_list.pk]
    if not segments:
        return _("All active subscribers of %(list)s.") % {"list": mailing_list.name}
    sentence = ngettext(
        "Active subscribers of %(list)s in the segment %(names)s.",
        "Active subscribers of %(list)s in one of the segments %(names)s.",
        len(segments),
    )
    return sentence % {"list": mailing_list.name, "names": _names(segments)}


def _names(segments: Iterable[AudienceSegment]) -> str:
    return ", ".join(_("“%(name)s”") % {"name": segment.name} for segment in segments)


def exclusions_in_words(excluded: Mapping[str, int]) -> tuple[tuple[int, str], ...]:
    """How many are excluded, with the reason."""
    return tuple((count, str(EXCLUSIONS.get(reason, reason))) for reason, count in excluded.items())
