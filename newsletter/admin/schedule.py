"""Schedule an issue or send it now, after a confirmation of its audience and time.

A decision takes two pages: the first asks, the second shows the time and the audience and acts on POST. It carries the
SHA-256 of the manifest that it showed, and sends or schedules exactly that manifest.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from newsletter.admin.check_groups import ShownKind, place_findings
from newsletter.admin.pages import (
    Page,
    RequiredPermission,
    issue_page,
    main_page_url,
    page_url,
    redirect_with_message,
    username_of,
)
from newsletter.admin.time_format import from_now, in_zone, zone_of
from newsletter.admin.zone_select import ZoneSelect, zone_choices
from newsletter.models import InvalidTransition, Issue, IssueState, Send, SendState
from newsletter.preflight import AudienceSnapshot
from newsletter.providers import get_provider
from newsletter.sending.audience import Audience, AudienceList
from newsletter.sending.audience_words import audience_in_words, exclusions_in_words
from newsletter.sending.check import audience_snapshot, preflight_issue
from newsletter.sending.limits import minimum_duration
from newsletter.sending.manifest import Approval, Estimate, Manifest, ManifestSummary, ManifestUnreadable, estimate_for
from newsletter.sending.recurring import next_occurrence, occurrence_of
from newsletter.sending.schedule import IssueRefused, first_instant, prepare_dry_run, schedule_issue, send_now, waves_of
from newsletter.sending.wall_clock import NoSuchTime, instant_of
from newsletter.sending.waves import LocalTime, Wave, has_zones

#: A larger audience is confirmed by typing its size.
TYPED_ABOVE = 1_000

#: How many zones of a wave are named.
MAX_ZONES = 3

#: What is shown for a confirmation without what it confirms.
INCOMPLETE = gettext_lazy("The form is incomplete. Reload the page and confirm again.")


@dataclass(frozen=True, slots=True)
class AudienceView:
    """How many recipients an issue would have now, and which subscriptions of the list would be excluded."""

    count: int
    excluded: tuple[tuple[int, str], ...]
    estimate: Estimate | None = None
    """How long it takes and what it costs."""
    words: tuple[str, ...] = ()
    """Its lists, segments and topic, as sentences."""

    @property
    def requires_typed_count(self) -> bool:
        """Whether the size has to be typed to confirm."""
        return self.count > TYPED_ABOVE


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPreview:
    """What the pages show of an issue that may be sent: computed once a request. `refusal` says why it may not."""

    audience: AudienceView
    lists: tuple[AudienceList, ...] = ()
    manifest: Manifest | None = None
    blocking: tuple[ShownKind, ...] = ()
    refusal: tuple[str, ...] = ()


def preview_send(
    issue: Issue, *, local: LocalTime | None = None, sends_at: datetime.datetime | None = None
) -> SendPreview:
    """The audience, the manifest and what blocks a send at that time (None: now), from one dry run."""
    try:
        run = prepare_dry_run(issue, local=local, sends_at=sends_at)
    except IssueRefused as refusal:
        snapshot = audience_snapshot(issue)
        findings = place_findings(issue, preflight_issue(issue, audience=snapshot, sends_at=sends_at))
        audience = _audience_view(issue, snapshot)
        lists = Audience.of(issue).lists
        return SendPreview(audience=audience, lists=lists, blocking=findings.errors, refusal=refusal.sentences)
    manifest, lists = run.manifest, run.audience.lists
    audience = AudienceView(
        manifest.recipients,
        exclusions_in_words(manifest.excluded),
        manifest.estimate,
        words=audience_in_words(run.audience),
    )
    if run.result.errors:
        return SendPreview(audience=audience, lists=lists, blocking=place_findings(issue, run.result).errors)
    return SendPreview(audience=audience, lists=lists, manifest=manifest)


def _audience_view(issue: Issue, snapshot: AudienceSnapshot) -> AudienceView:
    limits = minimum_duration(issue.newsletter, snapshot.count, start=timezone.now())
    estimate = estimate_for(snapshot.count, get_provider(), limits=limits)
    words = audience_in_words(Audience.of(issue))
    return AudienceView(snapshot.count, exclusions_in_words(snapshot.excluded), estimate, words=words)


class TimeForm(forms.Form):
    """A date, a time and a zone; after `is_valid`, `wall` and `instant` are the time that they name."""

    date = forms.DateField(
        label=gettext_lazy("Date"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    time = forms.TimeField(label=gettext_lazy("Time"), widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    zone = forms.ChoiceField(label=gettext_lazy("Time zone"), widget=ZoneSelect)
    same_audience = forms.BooleanField(
        required=False,
        label=gettext_lazy("Cancel if the audience changed"),
        help_text=gettext_lazy(
            "If a subscriber joins or leaves before the start, the send is withdrawn and the issue is a draft again."
        ),
    )
    is_local = forms.BooleanField(
        required=False,
        label=gettext_lazy("At this time in each recipient's time zone"),
        help_text=gettext_lazy(
            "Recipients who gave their time zone get the issue when their own clock shows this time, in waves over at "
            "most 26 hours; all others get it in the zone above."
        ),
    )
    wall: datetime.datetime
    instant: datetime.datetime

    @property
    def sends_at(self) -> datetime.datetime:
        """`instant` in the chosen zone; after `is_valid`."""
        return self.instant.astimezone(zone_of(self.cleaned_data["zone"]))

    @property
    def local(self) -> LocalTime | None:
        """Each recipient's own time, if that was chosen; after `is_valid`."""
        return LocalTime(wall=self.wall, zone=self.cleaned_data["zone"]) if self.cleaned_data["is_local"] else None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["zone"].choices = zone_choices()  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse times that do not exist or exist twice, and times in the past."""
        cleaned = self.cleaned_data
        if not {"date", "time", "zone"} <= cleaned.keys():
            return cleaned
        self.wall = datetime.datetime.combine(cleaned["date"], cleaned["time"])
        try:
            self.instant = instant_of(self.wall, cleaned["zone"])
        except NoSuchTime as refusal:
            self.add_error("time", str(refusal))
            return cleaned
        if self.instant <= timezone.now():
            self.add_error("time", _("This time is in the past. Choose a later one, or send the issue now."))
        return cleaned


class ConfirmForm(forms.Form):
    """What the page showed to the editor who confirms; the size of a large audience is typed.

    It compares with what the page showed, and computes no audience: the send compares that with the audience of now.
    """

    typed_count = forms.CharField(
        label=gettext_lazy("Number of recipients"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )

    #: The revision that the page showed; content that was saved since is not what was confirmed.
    revision = forms.IntegerField(widget=forms.HiddenInput, error_messages={"required": INCOMPLETE})
    #: SHA-256 and summary of the manifest that the page showed: a few hundred bytes.
    manifest = forms.CharField(max_length=5_000, widget=forms.HiddenInput, error_messages={"required": INCOMPLETE})

    def clean_manifest(self) -> Approval:
        try:
            approval = Approval.parse(self.cleaned_data["manifest"])
        except ManifestUnreadable as error:
            raise forms.ValidationError(
                _("%(error)s Nothing was sent or scheduled. Review the page and confirm again.") % {"error": error}
            ) from error
        if approval.summary is None:
            raise forms.ValidationError(INCOMPLETE)
        return approval

    def clean(self) -> dict[str, Any]:
        """Refuse the wrong number. If the audience changed since the page was loaded, the send is refused later."""
        approval: Approval | None = self.cleaned_data.get("manifest")
        if approval and approval.summary:
            count = approval.summary.recipients
            typed = "".join(character for character in self.cleaned_data.get("typed_count", "") if character.isdigit())
            if AudienceView(count, ()).requires_typed_count and typed != str(count):
                sentence = ngettext(
                    "The audience is %(count)s recipient. Type %(digits)s to confirm.",
                    "The audience is %(count)s recipients. Type %(digits)s to confirm.",
                    count,
                )
                values = {"count": number_format(count, force_grouping=True), "digits": count}
                self.add_error("typed_count", sentence % values)
        return self.cleaned_data


@require_http_methods(["GET", "HEAD", "POST"])
def show_schedule(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Ask for the time; then show what it means; then, with `confirm`, schedule the issue."""
    send = issue.current_send
    if send is not None and send.state == SendState.SCHEDULED:
        if request.method == "POST":
            sentence = _(
                "This issue is scheduled already, as shown here, and nothing was changed. To choose another time, "
                "unschedule it first."
            )
            return redirect_with_message(request, sentence, page_url(issue, "schedule"), level=messages.WARNING)
        return _show_scheduled(request, issue, send)
    if send is not None:
        return redirect_with_message(request, _cannot_be_sent(issue), main_page_url(issue), level=messages.WARNING)
    if request.method != "POST":
        return _ask(request, issue, TimeForm(initial=_suggested(issue)))
    form = TimeForm(request.POST)
    if not form.is_valid():
        return _ask(request, issue, form)
    confirmation = ConfirmForm(request.POST if "confirm" in request.POST else None)
    if confirmation.is_valid():
        return _schedule(request, issue, form, confirmation)
    return _confirm(request, issue, form, confirmation)


def _cannot_be_sent(issue: Issue) -> str:
    return _("The status of this issue is “%(status)s”, so it cannot be scheduled or sent.") % {
        "status": issue.get_status_display()
    }


def _schedule(request: HttpRequest, issue: Issue, form: TimeForm, confirmation: ConfirmForm) -> HttpResponse:
    zone = form.cleaned_data["zone"]
    try:
        send = schedule_issue(
            issue,
            wall=form.wall,
            zone=zone,
            by=username_of(request),
            revision=confirmation.cleaned_data["revision"],
            approved=confirmation.cleaned_data["manifest"],
            same_audience=form.cleaned_data["same_audience"],
            is_local=form.cleaned_data["is_local"],
        )
    except (NoSuchTime, IssueRefused) as refusal:
        # What the page shows next is what holds now, not what was refused.
        issue.refresh_from_db()
        return _ask(request, issue, form, refusal=getattr(refusal, "sentences", (str(refusal),)))
    except InvalidTransition as error:
        return _moved_meanwhile(request, issue, error)
    at = send.scheduled_at or form.instant
    values = {"title": issue.title, "distance": from_now(at), "time": in_zone(at, zone), "zone": zone}
    sentence = (
        _("“%(title)s” is sent to the first recipients %(distance)s: %(time)s, %(zone)s.")
        if send.is_local
        else _("“%(title)s” is sent %(distance)s: %(time)s, %(zone)s.")
    )
    return redirect_with_message(request, sentence % values, page_url(issue, "schedule"))


@require_http_methods(["GET", "HEAD", "POST"])
def show_send_now(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Show the audience; on POST, start the send."""
    send = issue.current_send
    if send is not None and send.state != SendState.SCHEDULED:
        return redirect_with_message(request, _cannot_be_sent(issue), main_page_url(issue), level=messages.WARNING)
    confirmation = ConfirmForm(request.POST if request.method == "POST" else None)
    refusal: tuple[str, ...] = ()
    if confirmation.is_valid():
        shown = confirmation.cleaned_data
        try:
            started = send_now(issue, by=username_of(request), revision=shown["revision"], approved=shown["manifest"])
        except IssueRefused as error:
            refusal = error.sentences
            # What the page shows next is what holds now, not what was refused.
            issue.refresh_from_db()
        except InvalidTransition as error:
            return _moved_meanwhile(request, issue, error)
        else:
            return redirect_with_message(request, _started(issue, started), page_url(issue, "report"))
    zone = send.time_zone if send else issue.newsletter.time_zone
    preview = preview_send(issue, sends_at=timezone.now().astimezone(zone_of(zone)))
    return issue_page(
        request,
        issue,
        "send_now",
        title=_("Send now: %(issue)s") % {"issue": issue.title},
        tab="schedule",
        audience=preview.audience,
        confirmation=confirmation,
        undo_seconds=settings.UNDO_SECONDS,
        manifest=preview.manifest,
        approval=_summary_of(preview.manifest),
        refusal=refusal,
        blocking=preview.blocking,
    )


def _started(issue: Issue, send: Send) -> str:
    assert send.manifest is not None  # noqa: S101 - a send that was started has one
    count = send.manifest["recipients"]
    sentence = ngettext(
        "“%(title)s” is being sent to %(count)s recipient.",
        "“%(title)s” is being sent to %(count)s recipients.",
        count,
    ) % {"title": issue.title, "count": number_format(count, force_grouping=True)}
    if not send.undo_until:
        return sentence
    undo = ngettext(
        "You can undo this for %(count)s second.", "You can undo this for %(count)s seconds.", settings.UNDO_SECONDS
    ) % {"count": number_format(settings.UNDO_SECONDS, force_grouping=True)}
    return f"{sentence} {undo}"


def _summary_of(manifest: Manifest | None) -> str:
    return ManifestSummary.of(manifest).as_text() if manifest else ""


def _ask(
    request: HttpRequest,
    issue: Issue,
    form: TimeForm,
    *,
    preview: SendPreview | None = None,
    refusal: tuple[str, ...] = (),
) -> HttpResponse:
    preview = preview or preview_send(issue)
    return issue_page(
        request,
        issue,
        "schedule",
        title=_("Schedule: %(issue)s") % {"issue": issue.title},
        tab="schedule",
        form=form,
        has_zones=has_zones([each.pk for each in preview.lists]),
        occurrence=occurrence_of(issue) or next_occurrence(issue.newsletter),
        is_approved=issue.state == IssueState.APPROVED,
        refusal=refusal,
        audience=preview.audience,
        blocking=preview.blocking,
    )


def _confirm(request: HttpRequest, issue: Issue, form: TimeForm, confirmation: ConfirmForm) -> HttpResponse:
    preview = preview_send(issue, local=form.local, sends_at=form.sends_at)
    if preview.manifest is None:
        refusal = preview.refusal or tuple(finding.message for kind in preview.blocking for finding in kind.findings)
        return _ask(request, issue, form, preview=preview, refusal=refusal)
    try:
        if form.local:
            first_instant(issue, form.local)
    except IssueRefused as error:
        return _ask(request, issue, form, preview=preview, refusal=error.sentences)
    return issue_page(
        request,
        issue,
        "schedule_confirm",
        title=_("Schedule: %(issue)s") % {"issue": issue.title},
        tab="schedule",
        form=form,
        confirmation=confirmation,
        manifest=preview.manifest,
        approval=_summary_of(preview.manifest),
        audience=preview.audience,
        waves=_waves(issue, form.local),
        same_audience=form.cleaned_data["same_audience"],
        zone=form.cleaned_data["zone"],
        in_words=in_zone(form.instant, form.cleaned_data["zone"]),
        in_utc=in_zone(form.instant, "UTC"),
        from_now=from_now(form.instant),
    )


def _show_scheduled(request: HttpRequest, issue: Issue, send: Send) -> HttpResponse:
    assert send.scheduled_at is not None  # noqa: S101 - the database holds it for every scheduled send
    return issue_page(
        request,
        issue,
        "scheduled",
        title=_("Scheduled: %(issue)s") % {"issue": issue.title},
        tab="schedule",
        send=send,
        audience=_audience_view(issue, audience_snapshot(issue)),
        same_audience=bool(send.approved_sha256),
        changes=_changes_of(send),
        waves=_waves(issue, LocalTime.of(send)),
        in_words=in_zone(send.scheduled_at, send.scheduled_zone),
        in_utc=in_zone(send.scheduled_at, "UTC"),
        from_now=from_now(send.scheduled_at),
    )


def _changes_of(send: Send) -> list[tuple[str, str]]:
    """What happened to the schedule since it was made, the newest first, in its own zone."""
    notes = send.transitions.filter(source=SendState.SCHEDULED, target=SendState.SCHEDULED).order_by("-pk")
    return [(in_zone(note.at, send.scheduled_zone, short=True), note.sentence) for note in notes[:5]]


def _waves(issue: Issue, local: LocalTime | None) -> list[tuple[str, str, int]]:
    """Start (in the newsletter's zone), places and recipients of each wave; none where all get it at the same time."""
    zone = issue.newsletter.time_zone
    waves = waves_of(issue, local) if local else ()
    return [(in_zone(wave.starts_at, zone), _places_of(wave), wave.recipients) for wave in waves]


def _places_of(wave: Wave) -> str:
    """The cities after which its largest zones are named."""
    cities = [zone.rpartition("/")[2].replace("_", " ") or _("no time zone given") for zone in wave.zones]
    named = ", ".join(cities[:MAX_ZONES])
    return _("%(cities)s and others") % {"cities": named} if len(cities) > MAX_ZONES else named


def _suggested(issue: Issue) -> dict[str, Any]:
    """Seven in the morning of the issue's date, or of tomorrow, in the newsletter's zone."""
    zone = issue.newsletter.time_zone
    tomorrow = timezone.now().astimezone(zone_of(zone)).date() + datetime.timedelta(days=1)
    return {"date": max(issue.date, tomorrow), "time": datetime.time(7), "zone": zone}


def _moved_meanwhile(request: HttpRequest, issue: Issue, error: InvalidTransition) -> HttpResponse:
    fresh = Issue.objects.with_send().get(pk=issue.pk)
    return redirect_with_message(request, str(error), main_page_url(fresh), level=messages.WARNING)


PAGES = (
    Page("schedule", show_schedule, RequiredPermission.SEND),
    Page("send-now", show_send_now, RequiredPermission.SEND),
)
