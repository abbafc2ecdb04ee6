"""Newsletters in the admin, with their recurring schedules and the feeds that they follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.admin.pages import SEND_PERMISSION
from newsletter.admin.sign_up_form import show_sign_up_form
from newsletter.admin.start import check_pattern
from newsletter.admin.time_format import from_now
from newsletter.admin.zone_select import ZoneSelect, zone_choices
from newsletter.content.fields import field_faults
from newsletter.content.links import web_link_problem
from newsletter.gathering.problems import problem_message
from newsletter.models import Feed, Newsletter, Occurrence, RecurringSchedule, Send, WarmUpPlan
from newsletter.sending.limits import WarmUpDay, warm_up_day
from newsletter.sending.sunset import issues_that_count
from newsletter.sending.warm_up import FIRST_WEEK, LAST_DAY
from newsletter.sending.weekly import WeeksOfNewsletters, sends_of_week
from subscribers.admin.filters import OfferedFilters
from subscribers.models import Frequency, Subscription, SubscriptionState, check_header_text

TIME_INPUT = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")

#: The settings of the weekly digest.
WEEKLY_FIELDS = ("offers_weekly", "weekly_weekday", "weekly_time")

if TYPE_CHECKING:
    NewsletterModelAdmin = admin.ModelAdmin[Newsletter]
    NewsletterModelForm = forms.ModelForm[Newsletter]
    FeedModelForm = forms.ModelForm[Feed]
    FeedStackedInline = admin.StackedInline[Feed, Newsletter]
    RecurringScheduleModelForm = forms.ModelForm[RecurringSchedule]
    RecurringScheduleStackedInline = admin.StackedInline[RecurringSchedule, Newsletter]
else:
    NewsletterModelAdmin = admin.ModelAdmin
    NewsletterModelForm = forms.ModelForm
    FeedModelForm = forms.ModelForm
    FeedStackedInline = admin.StackedInline
    RecurringScheduleModelForm = forms.ModelForm
    RecurringScheduleStackedInline = admin.StackedInline


class NewsletterForm(NewsletterModelForm):
    """Every field of a newsletter and of its mailing list; the time zone is chosen from a list."""

    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        help_text=gettext_lazy("The time zone of its schedules."),
        initial="UTC",
        widget=ZoneSelect,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].choices = zone_choices(self.instance.time_zone)  # type: ignore[attr-defined]
        # The admin leaves fields out for those who may only view.
        if "title_pattern" in self.fields:
            self.fields["title_pattern"].validators.append(check_pattern)
        if "slug" in self.fields and _is_linked_to(self.instance):
            self.fields["slug"].disabled = True  # a posted value is ignored
            self.fields["slug"].help_text = _("The slug can no longer change: links in sent mails contain it.")


class FeedForm(FeedModelForm):
    """A feed. One whose URL changes, or that is activated again, is fetched anew."""

    def clean_url(self) -> str:
        """Require a full web address. Whether a feed is there shows when the worker fetches it."""
        url = str(self.cleaned_data["url"]).strip()
        if problem := web_link_problem(url):
            raise forms.ValidationError(problem)
        return url

    def save(self, commit: bool = True) -> Feed:
        """Schedule the next fetch for now, and reset what is known about another URL."""
        if {"url", "is_active"} & set(self.changed_data):
            self.instance.next_poll_at = timezone.now()
        if "url" in self.changed_data:
            self.instance.etag = self.instance.last_modified = self.instance.title = self.instance.problem = ""
            self.instance.failures = 0
        return super().save(commit)


class PartOfNewsletter:
    """Permissions of rows that belong to a newsletter: its view and change permissions apply to them as well.

    Deleting such a row keeps what it created, such as stories and drafts.
    """

    #: The permissions required to add, change and delete them.
    change_permissions: tuple[str, ...] = ("newsletter.change_newsletter",)

    def has_view_permission(self, request: HttpRequest, obj: Newsletter | None = None) -> bool:
        """Whether the user may view the newsletter."""
        return request.user.has_perm("newsletter.view_newsletter") or self.has_change_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Newsletter | None = None) -> bool:
        """Whether the user has all of `change_permissions`."""
        return request.user.has_perms(self.change_permissions)

    has_add_permission = has_delete_permission = has_change_permission


class FeedInline(PartOfNewsletter, FeedStackedInline):
    """The feeds that editors of the newsletter pick stories from."""

    model = Feed
    form = FeedForm
    extra = 1
    fields = (("url", "is_active"), ("source", "section"), "last_fetch")
    readonly_fields = ("last_fetch",)

    @admin.display(description=gettext_lazy("Last fetch"))
    def last_fetch(self, feed: Feed) -> str:
        """When the feed was last fetched, and its error."""
        if feed.polled_at is None:
            return _("Not fetched yet.")
        problem = problem_message(feed)
        if not problem:
            return _("OK, %(distance)s") % {"distance": from_now(feed.polled_at)}
        return _("Error, %(distance)s: %(problem)s") % {"distance": from_now(feed.polled_at), "problem": problem}


class RecurringScheduleForm(RecurringScheduleModelForm):
    """A recurring schedule and the draft that is created for each occurrence."""

    def clean_title(self) -> str:
        """Refuse characters that a subject must not hold: the draft's subject is made from the title."""
        title = str(self.cleaned_data["title"])
        check_header_text(title)
        return title

    def clean_sections(self) -> str:
        """Refuse headings that an issue must not have: no draft could be created with them."""
        sections = str(self.cleaned_data["sections"])
        for line in filter(None, map(str.strip, sections.splitlines())):
            for fault in field_faults("section heading", line):
                raise forms.ValidationError(_("“%(heading)s”: %(problem)s") % {"heading": line[:40], "problem": fault})
        return sections


class RecurringScheduleInline(PartOfNewsletter, RecurringScheduleStackedInline):
    """The recurring schedules of a newsletter. They send issues, so changing them takes the permission to send."""

    change_permissions = (*PartOfNewsletter.change_permissions, SEND_PERMISSION)
    model = RecurringSchedule
    form = RecurringScheduleForm
    extra = 1
    fields = (("weekday", "time", "is_active"), "title", "sections", "occurrences")
    readonly_fields = ("occurrences",)
    verbose_name_plural = gettext_lazy("recurring schedules")
    formfield_overrides = {
        models.TextField: {"widget": forms.Textarea(attrs={"rows": 2, "cols": 24})},
        models.TimeField: {"widget": TIME_INPUT},
    }

    @admin.display(description=gettext_lazy("Next and last occurrence"))
    def occurrences(self, schedule: RecurringSchedule) -> str:
        """The next occurrence with its problem, and the last one with its outcome."""
        latest = list(schedule.occurrences.all()[:2])
        planned = [_in_words(one, _("Next: %(date)s.")) for one in latest if one.finished_at is None]
        finished = [_in_words(one, _("Last: %(date)s.")) for one in latest if one.finished_at is not None]
        return " ".join(filter(None, [schedule.problem_sentence, *planned, *finished[:1]])) or _(
            "Not planned yet. The worker plans it."
        )


class NewsletterAdmin(OfferedFilters, NewsletterModelAdmin):
    """A newsletter and its mailing list."""

    form = NewsletterForm
    inlines = (RecurringScheduleInline, FeedInline)
    list_display = ("name", "sender", "time_zone", "language")
    ordering = ("name", "pk")
    search_fields = ("name", "slug")
    actions = None
    fieldsets = (
        (gettext_lazy("Presentation"), {"fields": ("name", "slug", "description", "language", "is_listed")}),
        (gettext_lazy("Design"), {"fields": ("brand",)}),
        (gettext_lazy("Sender"), {"fields": ("sender_name", "sender_email", "reply_to", "postal_address")}),
        (gettext_lazy("Publishing"), {"fields": ("time_zone", "title_pattern", "known_sources")}),
        (
            gettext_lazy("Weekly digest"),
            {"fields": (*WEEKLY_FIELDS, "weekly_digest")},
        ),
        (gettext_lazy("Inbox"), {"fields": ("inbox_days",)}),
        (gettext_lazy("Sending limits"), {"fields": ("hourly_limit", "warm_up_since", "warm_up_plan", "warm_up")}),
        (
            gettext_lazy("Sign-up"),
            {"fields": ("sign_up_form", "privacy_url", "complaint_contact", "is_embeddable", "frame_origins")},
        ),
        (gettext_lazy("Privacy"), {"fields": ("consent_mode", "engagement_source", "measures_opens")}),
        (gettext_lazy("Silent subscribers"), {"fields": ("sunset_after", "sunset_days", "sunset")}),
    )
    readonly_fields = ("brand", "weekly_digest", "warm_up", "sign_up_form", "sunset")
    formfield_overrides = {models.TimeField: {"widget": TIME_INPUT}}

    def get_readonly_fields(self, request: HttpRequest, obj: Newsletter | None = None) -> tuple[str, ...]:
        """The weekly digest sends issues, so changing it takes the permission to send."""
        weekly = () if request.user.has_perm(SEND_PERMISSION) else WEEKLY_FIELDS
        return (*super().get_readonly_fields(request, obj), *weekly)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Newsletter | None = None) -> dict[str, Sequence[str]]:
        """Make the slug from the name of a new newsletter; later, published links contain the slug."""
        return {} if obj else {"slug": ("name",)}

    def get_urls(self) -> list[URLPattern]:
        """With the page of the sign-up form for other sites."""
        view = self.admin_site.admin_view(self.sign_up_form_view)
        name = "newsletter_newsletter_sign_up_form"
        return [path("<int:pk>/sign-up-form/", view, name=name), *super().get_urls()]

    def sign_up_form_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The sign-up form for other sites."""
        newsletter = get_object_or_404(Newsletter, pk=pk)
        if not self.has_view_permission(request, newsletter):
            raise PermissionDenied
        return show_sign_up_form(request, newsletter)

    @admin.display(description=gettext_lazy("Brand"))
    def brand(self, newsletter: Newsletter) -> str:
        """A link to the page with its theme, logo, colors and texts."""
        if newsletter.pk is None:
            return _("Save the newsletter first.")
        url = f"{reverse('brand')}?newsletter={newsletter.pk}"
        return format_html('<a href="{}">{}</a>', url, _("Choose theme, logo, colors and fonts"))

    @admin.display(description=gettext_lazy("Sign-up form"))
    def sign_up_form(self, newsletter: Newsletter) -> str:
        """A link to the page of the sign-up form for other sites."""
        if newsletter.pk is None:
            return _("Save the newsletter first.")
        url = reverse("admin:newsletter_newsletter_sign_up_form", args=[newsletter.pk])
        return format_html('<a href="{}">{}</a>', url, _("Copy the form for another site"))

    @admin.display(description=gettext_lazy("Next digest"))
    def weekly_digest(self, newsletter: Newsletter) -> str:
        """What the digest is, when the next one comes, and how many subscribers chose it."""
        rules = _(
            "Subscribers who choose the weekly digest on their preferences page get all issues of a week as one mail. "
            "Issues for segments or a topic are sent to them by themselves. A week without an issue has no digest."
        )
        if newsletter.pk is None:
            return rules
        waiting = len(sends_of_week(newsletter))
        if not (newsletter.offers_weekly or waiting):
            return rules
        chosen = Subscription.objects.filter(mailing_list=newsletter.pk, state=SubscriptionState.ACTIVE)
        values = {
            "date": date_format(WeeksOfNewsletters().ends_on(newsletter.pk) or timezone.localdate()),
            "issues": _number(waiting),
            "count": _number(chosen.filter(frequency=Frequency.WEEKLY).count()),
        }
        now = _("Next: %(date)s. Issues in it so far: %(issues)s. Subscribers who chose it: %(count)s.") % values
        return f"{now} {rules}"

    @admin.display(description=gettext_lazy("Warm-up"))
    def warm_up(self, newsletter: Newsletter) -> str:
        """The daily limits, and today's use of them."""
        limits = " · ".join(_number(cap) for cap in FIRST_WEEK[WarmUpPlan(newsletter.warm_up_plan)])
        plan = _(
            "Daily limits of the first week: %(limits)s mails. They grow by a third to a half on each day after that, "
            "and end after day %(days)s. Engaged subscribers get their mails first."
        ) % {"limits": limits, "days": LAST_DAY}
        if newsletter.pk is None or newsletter.warm_up_since is None:
            return plan
        day = warm_up_day(newsletter, timezone.now())
        return f"{_('The warm-up is complete.') if day is None else _warm_up_progress(day)} {plan}"

    @admin.display(description=gettext_lazy("Who is asked"))
    def sunset(self, newsletter: Newsletter) -> str:
        """What counts as silence, and whether the policy can have an effect now."""
        rules = _(
            "An issue counts only if opens or clicks of it were recorded, and a subscriber only if they agreed to "
            "tracking before: otherwise silence means nothing. The answer is one click; it works after the "
            "unsubscription, too."
        )
        if newsletter.pk is None or newsletter.sunset_after is None:
            return rules
        if not newsletter.has_consent_to_tracking:
            return (
                f"{_('No subscriber is asked: this newsletter does not track opens and clicks with consent.')} {rules}"
            )
        counted = len(issues_that_count(newsletter, timezone.now()))
        if counted < newsletter.sunset_after:
            values = {"count": _number(counted), "needed": _number(newsletter.sunset_after)}
            return f"{_('No subscriber is asked yet: %(count)s of %(needed)s issues count so far.') % values} {rules}"
        return rules

    @admin.display(description=gettext_lazy("Sender"))
    def sender(self, newsletter: Newsletter) -> str:
        """Name and address of the From header."""
        return f"{newsletter.sender_name} <{newsletter.sender_email}>"


def _in_words(occurrence: Occurrence, sentence: str) -> str:
    date = sentence % {"date": date_format(occurrence.date)}
    return f"{date} {occurrence.outcome}".strip()


def _warm_up_progress(day: WarmUpDay) -> str:
    sentences = [
        _("Day %(day)s of %(days)s: %(sent)s of %(limit)s mails sent today.")
        % {"day": day.number, "days": LAST_DAY, "sent": _number(day.used), "limit": _number(day.cap)},
        _("Limit for a single mailbox provider, such as Gmail: %(count)s.") % {"count": _number(day.provider_cap)},
    ]
    if day.hourly_cap is not None:
        sentences.append(_("Limit per hour: %(count)s.") % {"count": _number(day.hourly_cap)})
    if day.used_up_providers:
        providers = ", ".join(day.used_up_providers)
        sentences.append(_("Used up for today: %(providers)s.") % {"providers": providers})
    return " ".join(sentences)


def _number(count: int) -> str:
    return number_format(count, force_grouping=True)


def _is_linked_to(newsletter: Newsletter) -> bool:
    """Whether mails that contain its slug were sent, or may be sent at any moment."""
    return newsletter.pk is not None and Send.objects.filter(issue__newsletter=newsletter.pk).exists()
