"""Schedule: who gets an issue and when, said back in words before it counts; and sending it at once.

Deciding takes two pages: the first asks, the second shows the moment and the number of readers and acts on POST. It
carries the manifest of what it showed, and nothing else is sent or scheduled under it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from newsletter.admin.check import placed_findings
from newsletter.admin.pages import Need, Page, editor_of, home_of, issue_page, page_url, tell_and_go
from newsletter.admin.time_format import from_now, in_zone, zone_names, zone_of
from newsletter.models import InvalidTransition, Issue, IssueStatus
from newsletter.providers import get_provider
from newsletter.sending.check import audience_for as readers_of_the_list
from newsletter.sending.limits import time_for
from newsletter.sending.manifest import Approval, Estimate, Manifest, ManifestUnreadable, estimate_for
from newsletter.sending.recurring import next_occurrence, occurrence_of
from newsletter.sending.schedule import IssueRefused, dry_run, first_instant, schedule_issue, send_now, waves_of
from newsletter.sending.wall_clock import NoSuchTime, instant_of
from newsletter.sending.waves import LocalTime, Wave, has_zones

#: More readers than this are confirmed by typing their number (R-133).
TYPED_ABOVE = 1_000

#: How many zones of a wave are named.
SOME_ZONES = 3

#: What is said of a confirmation that does not bring what was confirmed.
NOT_SHOWN = "The page did not say what it showed, so nothing was sent or scheduled. Look at it again, and confirm that."

EXCLUSIONS = {
    "waiting_for_confirmation": "waiting for confirmation",
    "unsubscribed": "unsubscribed",
    "suppressed": "not to be mailed",
    "paused": "on a pause",
    "not_allowed": "not among ALLOWED_RECIPIENTS",
}


SCHEDULED_ALREADY = (
    "This issue is scheduled already, as it says here, and nothing was changed. To choose another time, take it off "
    "the schedule first."
)


@dataclass(frozen=True, slots=True)
class Audience:
    """How many readers an issue would go to now, and who of the list would be left out."""

    count: int
    left_out: tuple[tuple[int, str], ...]
    estimate: Estimate | None = None
    """How long it takes and what it costs."""

    @property
    def is_typed(self) -> bool:
        """Whether the number has to be typed."""
        return self.count > TYPED_ABOVE


def audience_for(issue: Issue) -> Audience:
    """The audience as it is now."""
    now = readers_of_the_list(issue)
    limits = time_for(issue.newsletter, now.count, start=timezone.now())
    return Audience(now.count, in_words(now.excluded), estimate_for(now.count, get_provider(), limits=limits))


def in_words(left_out: Mapping[str, int]) -> tuple[tuple[int, str], ...]:
    """How many are left out, with the reason as people say it."""
    return tuple((count, EXCLUSIONS.get(reason, reason)) for reason, count in left_out.items())


class MomentForm(forms.Form):
    """A date, a time and a zone; after `is_valid`, `wall` and `instant` are the moment that they name."""

    date = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    time = forms.TimeField(widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    zone = forms.ChoiceField(label="Time zone")
    same_readers = forms.BooleanField(
        required=False,
        label="Only if the readers are still the same",
        help_text="If somebody joins or leaves before it starts, it goes back to draft and says so.",
    )
    is_local = forms.BooleanField(
        required=False,
        label="At this time where each reader is",
        help_text="Readers who named their time zone get it when their own clock shows this time, in waves over at "
        "most 26 hours; everybody else in the zone above.",
    )
    wall: datetime.datetime
    instant: datetime.datetime

    @property
    def local(self) -> LocalTime | None:
        """Each reader's own time, if that was chosen; after `is_valid`."""
        return LocalTime(wall=self.wall, zone=self.cleaned_data["zone"]) if self.cleaned_data["is_local"] else None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["zone"].choices = [(name, name.replace("_", " ")) for name in zone_names()]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse times that do not exist or exist twice, and times that are over (R-126)."""
        given = self.cleaned_data
        if not {"date", "time", "zone"} <= given.keys():
            return given
        self.wall = datetime.datetime.combine(given["date"], given["time"])
        try:
            self.instant = instant_of(self.wall, given["zone"])
        except NoSuchTime as refusal:
            self.add_error("time", str(refusal))
            return given
        if self.instant <= timezone.now():
            self.add_error("time", "That moment is over. Choose one to come, or send it now.")
        return given


class CountForm(forms.Form):
    """What the person who decides has seen; with many readers, their number is typed."""

    typed = forms.CharField(
        required=False, max_length=20, widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})
    )

    #: The revision that the page showed; what was saved since is not what was confirmed.
    revision = forms.IntegerField(widget=forms.HiddenInput, error_messages={"required": NOT_SHOWN})
    #: The manifest that the page showed, whole, so that a refusal can say what differs.
    manifest = forms.CharField(max_length=500_000, widget=forms.HiddenInput, error_messages={"required": NOT_SHOWN})

    def __init__(self, data: Any, audience: Audience) -> None:
        super().__init__(data)
        self.audience = audience
        self.fields["typed"].label = f"Type {audience.count} to confirm"

    def clean_typed(self) -> str:
        """The number must be the one that holds now, not the one of a page opened an hour ago."""
        typed = "".join(character for character in self.cleaned_data["typed"] if character.isdigit())
        if self.audience.is_typed and typed != str(self.audience.count):
            raise forms.ValidationError(
                f"It would go to {self.audience.count:,} readers now. Type {self.audience.count} if that is right."
            )
        return typed

    def clean_manifest(self) -> Approval:
        """What was approved."""
        try:
            return Approval.read(self.cleaned_data["manifest"])
        except ManifestUnreadable as error:
            raise forms.ValidationError(f"{error} Nothing was sent or scheduled; look at this page again.") from error


@require_http_methods(["GET", "HEAD", "POST"])
def show_schedule(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Ask for the moment; then say it back; then, with `confirm`, schedule the issue."""
    if issue.status == IssueStatus.SCHEDULED:
        if request.method == "POST":
            return tell_and_go(request, SCHEDULED_ALREADY, page_url(issue, "schedule"), level=messages.WARNING)
        return _show_scheduled(request, issue)
    if not issue.is_editable:
        sentence = f"This issue is {issue.get_status_display().lower()}; there is nothing to schedule any more."
        return tell_and_go(request, sentence, home_of(issue), level=messages.WARNING)
    if request.method != "POST":
        return _ask(request, issue, MomentForm(initial=_suggested(issue)))
    form, audience = MomentForm(request.POST), audience_for(issue)
    if not form.is_valid():
        return _ask(request, issue, form)
    confirms = "confirm" in request.POST
    count = CountForm(request.POST if confirms else None, audience)
    if not confirms or not count.is_valid():
        return _say_back(request, issue, form, count)
    return _schedule(request, issue, form, count)


def _schedule(request: HttpRequest, issue: Issue, form: MomentForm, count: CountForm) -> HttpResponse:
    zone = form.cleaned_data["zone"]
    try:
        schedule_issue(
            issue,
            wall=form.wall,
            zone=zone,
            by=editor_of(request),
            revision=count.cleaned_data["revision"],
            approved=count.cleaned_data["manifest"],
            same_readers=form.cleaned_data["same_readers"],
            is_local=form.cleaned_data["is_local"],
        )
    except (NoSuchTime, IssueRefused) as refusal:
        return _ask(request, issue, form, refusal=getattr(refusal, "sentences", (str(refusal),)))
    except InvalidTransition as wrong:
        return _moved_meanwhile(request, issue, wrong)
    start = issue.scheduled_at or form.instant
    waves = ", the first readers" if issue.is_local else ""
    sentence = f"“{issue.title}” goes out {from_now(start)}: {in_zone(start, zone)}, {zone}{waves}."
    return tell_and_go(request, sentence, page_url(issue, "schedule"))


@require_http_methods(["GET", "HEAD", "POST"])
def show_send_now(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Say who would get the issue at once; on POST, start it."""
    audience = audience_for(issue)
    count = CountForm(request.POST if request.method == "POST" else None, audience)
    if issue.status not in (IssueStatus.DRAFT, IssueStatus.SCHEDULED):
        sentence = f"This issue is {issue.get_status_display().lower()} already."
        return tell_and_go(request, sentence, home_of(issue), level=messages.WARNING)
    refusal: tuple[str, ...] = ()
    if count.is_valid():
        seen = count.cleaned_data
        try:
            send_now(issue, by=editor_of(request), revision=seen["revision"], approved=seen["manifest"])
        except IssueRefused as error:
            refusal = error.sentences
            # What the page shows next is what holds now, not what was refused.
            issue.refresh_from_db()
        except InvalidTransition as wrong:
            return _moved_meanwhile(request, issue, wrong)
        else:
            readers = "1 reader" if audience.count == 1 else f"{audience.count:,} readers"
            undo = f" You can undo that for {settings.UNDO_SECONDS} seconds." if issue.posts_from else ""
            sentence = f"“{issue.title}” is on its way to {readers}.{undo}"
            return tell_and_go(request, sentence, page_url(issue, "report"))
    manifest = _rehearsed(issue)
    return issue_page(
        request,
        issue,
        "send_now",
        title=f"Send now: {issue.title}",
        step="schedule",
        audience=audience,
        count=count,
        undo_seconds=settings.UNDO_SECONDS,
        manifest=manifest,
        manifest_json=_as_json(manifest),
        refusal=refusal,
        blocking=placed_findings(issue).errors if manifest is None else (),
    )


def _rehearsed(issue: Issue) -> Manifest | None:
    """What a send would do now; None where something must be fixed first, which the page lists."""
    try:
        return dry_run(issue)
    except IssueRefused:
        return None


def _as_json(manifest: Manifest | None) -> str:
    return json.dumps(manifest.as_json()) if manifest else ""


def _ask(request: HttpRequest, issue: Issue, form: MomentForm, refusal: tuple[str, ...] = ()) -> HttpResponse:
    return issue_page(
        request,
        issue,
        "schedule",
        title=f"Schedule: {issue.title}",
        step="schedule",
        form=form,
        has_zones=has_zones(issue.newsletter_id),
        run=occurrence_of(issue) or next_occurrence(issue.newsletter),
        is_ready=issue.ready_revision == issue.revision,
        refusal=refusal,
        audience=audience_for(issue),
        blocking=placed_findings(issue).errors,
    )


def _say_back(request: HttpRequest, issue: Issue, form: MomentForm, count: CountForm) -> HttpResponse:
    try:
        manifest = dry_run(issue, local=form.local)
        if form.local:
            first_instant(issue, form.local)
    except IssueRefused as refusal:
        return _ask(request, issue, form, refusal=refusal.sentences)
    return issue_page(
        request,
        issue,
        "schedule_confirm",
        title=f"Schedule: {issue.title}",
        step="schedule",
        form=form,
        count=count,
        manifest=manifest,
        manifest_json=_as_json(manifest),
        audience=count.audience,
        waves=_waves(issue, form.local),
        same_readers=form.cleaned_data["same_readers"],
        zone=form.cleaned_data["zone"],
        in_words=in_zone(form.instant, form.cleaned_data["zone"]),
        in_utc=in_zone(form.instant, "UTC"),
        from_now=from_now(form.instant),
    )


def _show_scheduled(request: HttpRequest, issue: Issue) -> HttpResponse:
    assert issue.scheduled_at is not None  # noqa: S101 - the database holds it for every scheduled issue
    return issue_page(
        request,
        issue,
        "scheduled",
        title=f"Scheduled: {issue.title}",
        step="schedule",
        audience=audience_for(issue),
        same_readers=bool(issue.manifest_sha256),
        changes=_changes_of(issue),
        waves=_waves(issue, LocalTime.of(issue)),
        in_words=in_zone(issue.scheduled_at, issue.scheduled_zone),
        in_utc=in_zone(issue.scheduled_at, "UTC"),
        from_now=from_now(issue.scheduled_at),
    )


def _changes_of(issue: Issue) -> list[tuple[str, str]]:
    """What happened to the schedule since it was made, the newest first, on the clocks of its zone (R-128)."""
    notes = issue.transitions.filter(source=IssueStatus.SCHEDULED, target=IssueStatus.SCHEDULED).order_by("-pk")
    return [(in_zone(note.at, issue.scheduled_zone, short=True), note.reason) for note in notes[:5]]


def _waves(issue: Issue, local: LocalTime | None) -> list[tuple[str, str, int]]:
    """When, where and to how many; the moment is the newsletter's own. None where everybody gets it at once."""
    zone = issue.newsletter.time_zone
    waves = waves_of(issue, local) if local else ()
    return [(in_zone(wave.starts_at, zone), _places_of(wave), wave.readers) for wave in waves]


def _places_of(wave: Wave) -> str:
    """The cities after which its largest zones are named."""
    cities = [zone.rpartition("/")[2].replace("_", " ") or "everybody else" for zone in wave.zones]
    return ", ".join(cities[:SOME_ZONES]) + (" and others" if len(cities) > SOME_ZONES else "")


def _suggested(issue: Issue) -> dict[str, Any]:
    """Seven in the morning of the issue's date, or of tomorrow, where its readers are at home."""
    zone = issue.newsletter.time_zone
    tomorrow = timezone.now().astimezone(zone_of(zone)).date() + datetime.timedelta(days=1)
    return {"date": max(issue.date, tomorrow), "time": datetime.time(7), "zone": zone}


def _moved_meanwhile(request: HttpRequest, issue: Issue, wrong: InvalidTransition) -> HttpResponse:
    issue.refresh_from_db()
    return tell_and_go(request, str(wrong), home_of(issue), level=messages.WARNING)


PAGES = (
    Page("schedule", show_schedule, Need.SEND),
    Page("send-now", show_send_now, Need.SEND),
)
