"""Newsletters in the admin, their slots, and the feeds that they follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils import timezone

from newsletter.admin.pages import SEND_PERMISSION
from newsletter.admin.time_format import from_now, zone_names
from newsletter.content.fields import field_faults
from newsletter.content.links import web_link_problem
from newsletter.gathering.problems import problem_message
from newsletter.models import Feed, IssueStatus, Newsletter, RecurringSchedule
from newsletter.rendering import ThemeError, load_theme, theme_names
from newsletter.sending.limits import WARM_UP, warm_up_day
from subscribers.models import check_header_text

THEME_HELP = "Drafts change at once, frozen issues stay as they are. Themes of your own: docs/write-a-theme.md."

if TYPE_CHECKING:
    NewsletterModelAdmin = admin.ModelAdmin[Newsletter]
    NewsletterModelForm = forms.ModelForm[Newsletter]
    FeedModelForm = forms.ModelForm[Feed]
    FeedTabularInline = admin.TabularInline[Feed, Newsletter]
    RecurringScheduleModelForm = forms.ModelForm[RecurringSchedule]
    RecurringScheduleTabularInline = admin.TabularInline[RecurringSchedule, Newsletter]
else:
    NewsletterModelAdmin = admin.ModelAdmin
    NewsletterModelForm = forms.ModelForm
    FeedModelForm = forms.ModelForm
    FeedTabularInline = admin.TabularInline
    RecurringScheduleModelForm = forms.ModelForm
    RecurringScheduleTabularInline = admin.TabularInline


class NewsletterForm(NewsletterModelForm):
    """Every field of a newsletter and of its mailing list, the zone to be chosen rather than typed."""

    time_zone = forms.ChoiceField(help_text="Schedules are meant in this zone.", initial="UTC")
    theme = forms.ChoiceField(widget=forms.RadioSelect, initial="plain", help_text=THEME_HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = sorted({*zone_names(), self.instance.time_zone})
        self.fields["time_zone"].choices = [(name, name.replace("_", " ")) for name in names]  # type: ignore[attr-defined]
        self.fields["theme"].choices = list(_theme_choices(self.instance.theme))  # type: ignore[attr-defined]
        if "logo_url" in self.fields:  # the admin leaves the fields out for those who may only look
            self.fields["logo_url"].validators.append(_check_logo)
        if "slug" in self.fields and _is_linked_to(self.instance):
            self.fields["slug"].disabled = True  # whatever is posted for it is passed over
            self.fields["slug"].help_text = "It stays as it is: mails and other sites link to issues under it."


class FeedForm(FeedModelForm):
    """A feed. One that gets another address, or is switched on again, starts anew."""

    def clean_url(self) -> str:
        """A full address of the web; whether there is a feed is found out by the worker."""
        url = str(self.cleaned_data["url"]).strip()
        if problem := web_link_problem(url):
            raise forms.ValidationError(problem)
        return url

    def save(self, commit: bool = True) -> Feed:
        """Forget what was known of another address, and look at once."""
        if {"url", "is_active"} & set(self.changed_data):
            self.instance.next_poll_at = timezone.now()
        if "url" in self.changed_data:
            self.instance.etag = self.instance.last_modified = self.instance.title = self.instance.problem = ""
            self.instance.failures = 0
        return super().save(commit)


class PartOfNewsletter:
    """Permissions of rows that belong to a newsletter: who may see it sees them, who may change it changes them.

    What was made of a row that goes, such as stories and drafts, stays.
    """

    #: What it takes to add, change and delete them.
    to_change: tuple[str, ...] = ("newsletter.change_newsletter",)

    def has_view_permission(self, request: HttpRequest, obj: Newsletter | None = None) -> bool:
        """As for the newsletter."""
        return request.user.has_perm("newsletter.view_newsletter") or self.has_change_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Newsletter | None = None) -> bool:
        """Who has all that it takes."""
        return request.user.has_perms(self.to_change)

    has_add_permission = has_delete_permission = has_change_permission


class FeedInline(PartOfNewsletter, FeedTabularInline):
    """The feeds that editors of the newsletter pick stories from."""

    model = Feed
    form = FeedForm
    extra = 1
    fields = ("url", "source", "section", "is_active", "looked_at")
    readonly_fields = ("looked_at",)

    @admin.display(description="Last look")
    def looked_at(self, feed: Feed) -> str:
        """When it was, and what went wrong."""
        if feed.polled_at is None:
            return "Not yet"
        return f"{from_now(feed.polled_at)}. {problem_message(feed)}".strip(" .") + "."


class RecurringScheduleForm(RecurringScheduleModelForm):
    """A slot and the draft that is made for it."""

    def clean_title(self) -> str:
        """What may stand in a subject: the draft's is made of it."""
        title = str(self.cleaned_data["title"])
        check_header_text(title)
        return title

    def clean_sections(self) -> str:
        """Headings that an issue may have: a draft with others could not be made."""
        sections = str(self.cleaned_data["sections"])
        for line in filter(None, map(str.strip, sections.splitlines())):
            for fault in field_faults("section heading", line):
                raise forms.ValidationError(f"“{line[:40]}”: {fault}")
        return sections


class RecurringScheduleInline(PartOfNewsletter, RecurringScheduleTabularInline):
    """The hours at which issues go out by themselves. To set them is to send, so it takes the right to send too."""

    to_change = (*PartOfNewsletter.to_change, SEND_PERMISSION)
    model = RecurringSchedule
    form = RecurringScheduleForm
    extra = 1
    fields = ("weekday", "time", "is_active", "title", "sections", "what_happens")
    readonly_fields = ("what_happens",)
    verbose_name_plural = "slots: the draft that is marked ready goes out then"
    formfield_overrides = {
        models.TextField: {"widget": forms.Textarea(attrs={"rows": 2, "cols": 24})},
        models.TimeField: {"widget": forms.TimeInput(attrs={"type": "time"}, format="%H:%M")},
    }

    @admin.display(description="Next and last")
    def what_happens(self, slot: RecurringSchedule) -> str:
        """When it comes next, what is wrong with that, and what became of it the last time."""
        runs = list(slot.occurrences.all()[:2])
        ahead = [f"Next on {run.date:%Y-%m-%d}. {run.outcome}" for run in runs if run.finished_at is None]
        last = [f"{run.date:%Y-%m-%d}: {run.outcome}" for run in runs if run.finished_at is not None]
        return " ".join(filter(None, [slot.problem, *ahead, *last[:1]])) or "Not yet planned: a worker does that."


class NewsletterAdmin(NewsletterModelAdmin):
    """A publication and the list that it is sent to."""

    form = NewsletterForm
    inlines = (RecurringScheduleInline, FeedInline)
    list_display = ("name", "sender", "time_zone", "language")
    search_fields = ("name", "slug")
    actions = None
    fieldsets = (
        ("What readers see", {"fields": ("name", "slug", "description", "language")}),
        ("How issues look", {"fields": ("theme", "logo_url", "logo_width")}),
        ("Who writes to them", {"fields": ("sender_name", "sender_email", "reply_to", "postal_address")}),
        ("Publishing", {"fields": ("time_zone", "known_sources")}),
        ("How fast it sends", {"fields": ("hourly_limit", "warm_up_since", "warm_up")}),
    )
    readonly_fields = ("warm_up",)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Newsletter | None = None) -> dict[str, Sequence[str]]:
        """The slug follows the name while it is new; later, links to it are out in the world."""
        return {} if obj else {"slug": ("name",)}

    @admin.display(description="Warm-up")
    def warm_up(self, newsletter: Newsletter) -> str:
        """Where it stands today, and what its days allow."""
        caps = " · ".join(f"{cap:,}" for cap in WARM_UP)
        plan = f"At most so many mails on the first days: {caps}. From then on there is no limit."
        if newsletter.pk is None or newsletter.warm_up_since is None:
            return plan
        day = warm_up_day(newsletter, timezone.now())
        if day is None:
            return f"Behind it. {plan}"
        return f"Day {day.number} of {len(WARM_UP)}: {day.used:,} of {day.cap:,} mails are out today. {plan}"

    @admin.display(description="Sender")
    def sender(self, newsletter: Newsletter) -> str:
        """Name and address in the From line."""
        return f"{newsletter.sender_name} <{newsletter.sender_email}>"


def _check_logo(url: str) -> None:
    """Programs show pictures of encrypted addresses only."""
    problem = web_link_problem(url) or ("" if url.startswith("https://") else "The address must start with https://.")
    if problem:
        raise ValidationError(problem)


def _theme_choices(chosen: str) -> Iterator[tuple[str, str]]:
    """Every theme with what it is like; one that cannot be used says why, and stays in the list while it is chosen."""
    names = theme_names(settings.THEME_FOLDERS)
    for name in names:
        try:
            theme = load_theme(name, settings.THEME_FOLDERS)
        except ThemeError as error:
            if name == chosen:
                yield name, str(error)
        else:
            yield name, f"{theme.label} – {theme.description}"
    if chosen not in names:
        yield chosen, f"{chosen} – this theme is gone; choose another, or bring it back"


def _is_linked_to(newsletter: Newsletter) -> bool:
    """Whether mails with its address in them are out, or may go out at any moment."""
    return newsletter.pk is not None and newsletter.issues.exclude(status=IssueStatus.DRAFT).exists()
