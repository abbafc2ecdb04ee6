"""What editors see of readers: looking, ending, suppressing.

Nobody becomes active here: the only ways in are a person's own confirmation and an import with its proof (R-55).
Proofs and mails are for looking at; bodies of waiting mails stay hidden, because they hold links that confirm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from subscribers import consent
from subscribers.addresses import Address, AddressError, parse_address
from subscribers.fingerprints import fingerprint
from subscribers.models import (
    Consent,
    Notice,
    NoticeState,
    Subscriber,
    Subscription,
    SubscriptionQuerySet,
    SubscriptionState,
    Suppression,
    SuppressionReason,
)
from subscribers.suppression import suppress_addresses, suppression_of
from subscribers.transitions import Evidence

if TYPE_CHECKING:
    ReaderModelAdmin = admin.ModelAdmin[Model]
else:
    ReaderModelAdmin = admin.ModelAdmin

TONES: dict[str, str] = {
    SubscriptionState.ACTIVE: "good",
    SubscriptionState.PENDING: "warn",
    SubscriptionState.SUPPRESSED: "bad",
    NoticeState.SENT: "good",
    NoticeState.UNKNOWN: "warn",
    NoticeState.FAILED: "bad",
}


def pill(value: str, label: str) -> SafeString:
    """A state as a word in its colour."""
    return format_html('<span class="pill pill-{}">{}</span>', TONES.get(value, "plain"), label)


class LookOnlyAdmin(ReaderModelAdmin):
    """Rows to look at. Who may change the model may run its actions; no field is ever typed."""

    list_per_page = 50
    # Counting every row of a long list for one line of text costs more than the page.
    show_full_result_count = False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, called what it is: there is nothing to change in it."""
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For actions on the list; a single row is for looking at."""
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: what was, was."""
        return False


def by_editor(request: HttpRequest) -> Evidence:
    """The proof of what an editor does here."""
    return Evidence(form="admin", detail=f"By {request.user.get_username()}, in the admin.")


def end_once_confirmed(
    page: LookOnlyAdmin, request: HttpRequest, chosen: QuerySet[Any], memberships: SubscriptionQuerySet
) -> HttpResponse | None:
    """Ask before ending memberships, because no editor can undo it; end them when the answer is yes."""
    open_ones = memberships.filter(state__in=(SubscriptionState.PENDING, SubscriptionState.ACTIVE))
    if not open_ones.exists():
        messages.info(request, "All of these have ended already.")
        return None
    if "confirmed" in request.POST:
        count = consent.unsubscribe_all(memberships, by_editor(request))
        messages.success(request, f"{_have_ended(count)}.")
        return None
    select_across = request.POST.get("select_across") == "1"
    context = {
        **page.admin_site.each_context(request),
        "title": "Unsubscribe?",
        "opts": page.opts,
        "count": open_ones.count(),
        # “Select all” is asked again, not listed: a form holds fewer fields than a mailing list has members.
        "select_across": select_across,
        "chosen": list((chosen[:1] if select_across else chosen).values_list("pk", flat=True)),
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/subscribers/unsubscribe.html", context)


@admin.register(Subscriber)
class SubscriberAdmin(LookOnlyAdmin):
    """One person: where they stand on each list, and everything that led there."""

    list_display = ("address", "standing", "created_at")
    list_filter = ("subscriptions__state", "subscriptions__mailing_list")
    search_fields = ("canonical",)
    search_help_text = "An address, or a part of one."
    ordering = ("-pk",)
    fields = ("address", "first_name", "time_zone", "standing", "created_at", "declined_at", "timeline")
    readonly_fields = ("standing", "timeline")
    actions = ("unsubscribe", "allow_signups_again")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With memberships, in one query for all rows of the page."""
        memberships = Subscription.objects.select_related("mailing_list").order_by("mailing_list__name")
        return super().get_queryset(request).prefetch_related(Prefetch("subscriptions", memberships))

    @admin.display(description="Lists")
    def standing(self, subscriber: Subscriber) -> str:
        """The state on each list."""
        now = timezone.now()
        return format_html_join(
            " ",
            "{} {}{}",
            (
                (
                    membership.mailing_list.name,
                    pill(membership.state, membership.get_state_display()),
                    _pause_of(membership) if membership.is_paused(now) else "",
                )
                for membership in subscriber.subscriptions.all()
            ),
        )

    @admin.display(description="What happened")
    def timeline(self, subscriber: Subscriber) -> str:
        """Consents and mails of this person, the newest first."""
        consents = Consent.objects.filter(subscription__subscriber=subscriber).select_related("text")
        notices = Notice.objects.filter(subscription__subscriber=subscriber).defer("text", "html", "headers")
        entries = [(consent.created_at, _consent_line(consent)) for consent in consents]
        entries += [(notice.created_at, _notice_line(notice)) for notice in notices]
        lines = format_html_join(
            "",
            "<li><strong>{}</strong> {}</li>",
            (
                (date_format(timezone.localtime(moment), "j M Y, H:i"), line)
                for moment, line in sorted(entries, key=lambda entry: entry[0], reverse=True)
            ),
        )
        return format_html("<ul>{}</ul>", lines) if entries else "Nothing yet."

    @admin.action(description="Unsubscribe from every list", permissions=["change"])
    def unsubscribe(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """End all memberships of the chosen people, once that is confirmed."""
        memberships = Subscription.objects.filter(subscriber__in=queryset.values("pk"))
        return end_once_confirmed(self, request, queryset, memberships)

    @admin.action(description="Allow sign-ups again (after “this was not me”)", permissions=["change"])
    def allow_signups_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Let confirmation mails go to the chosen people again; whether they subscribe stays their own choice."""
        count = consent.allow_signups_again(queryset.values_list("pk", flat=True))
        messages.success(request, f"{count} of the chosen people can be asked by mail again.")


@admin.register(Subscription)
class SubscriptionAdmin(LookOnlyAdmin):
    """Memberships: who stands where on which list."""

    list_display = (
        "subscriber",
        "mailing_list",
        "state_pill",
        "created_at",
        "confirmed_at",
        "ended_at",
        "paused_until",
    )
    list_filter = ("state", "mailing_list")
    list_select_related = ("subscriber", "mailing_list")
    search_fields = ("subscriber__canonical",)
    search_help_text = "An address, or a part of one."
    ordering = ("-pk",)
    fields = (
        "person",
        "mailing_list",
        "state_pill",
        "created_at",
        "requested_at",
        "confirmed_at",
        "ended_at",
        "paused_until",
    )
    readonly_fields = ("person", "state_pill")
    actions = ("unsubscribe",)

    @admin.display(description="State", ordering="state")
    def state_pill(self, membership: Subscription) -> str:
        """The state in its colour."""
        return pill(membership.state, membership.get_state_display())

    @admin.display(description="Person")
    def person(self, membership: Subscription) -> str:
        """The way to the person and the whole story."""
        url = reverse("admin:subscribers_subscriber_change", args=[membership.subscriber_id])
        return format_html('<a href="{}">{}</a>', url, membership.subscriber)

    @admin.action(description="Unsubscribe", permissions=["change"])
    def unsubscribe(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """End the chosen memberships, once that is confirmed."""
        memberships = Subscription.objects.filter(pk__in=queryset.values("pk"))
        return end_once_confirmed(self, request, queryset, memberships)


class SuppressionForm(forms.ModelForm):  # type: ignore[type-arg]
    """An address is typed, and only its fingerprint is kept."""

    address = forms.CharField(help_text="No mail goes there any more, on any list. The address itself is not stored.")

    class Meta:
        model = Suppression
        fields = ("address", "detail")

    def clean_address(self) -> Address:
        """Read the address as everywhere else."""
        try:
            return parse_address(self.cleaned_data["address"])
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error


@admin.register(Suppression)
class SuppressionAdmin(ReaderModelAdmin):
    """Addresses that must not be mailed. They are kept as fingerprints: typing an address finds its row."""

    list_display = ("__str__", "reason", "detail", "created_at")
    list_filter = ("reason",)
    search_fields = ("fingerprint",)
    search_help_text = "A whole address. Rows hold no addresses; yours is compared by its fingerprint."
    ordering = ("-pk",)
    form = SuppressionForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is typed for a new row, what is known of an old one."""
        return ("address", "detail") if obj is None else ("reason", "detail", "created_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For looking only: a wrong one is taken off and entered anew."""
        return obj is None and super().has_change_permission(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the fingerprint of the typed address; what is no address finds nothing."""
        if not search_term:
            return queryset, False
        try:
            mark = fingerprint(parse_address(search_term).canonical)
        except AddressError as error:
            messages.info(request, str(error))
            return queryset.none(), False
        return queryset.filter(fingerprint=mark), False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Suppress the address everywhere; an earlier suppression of it stays with its own reason."""
        canonical = form.cleaned_data["address"].canonical
        ended = suppress_addresses({canonical: (SuppressionReason.MANUAL, form.cleaned_data["detail"])})
        stored = suppression_of(canonical)
        obj.pk = stored.pk if stored else None
        obj.refresh_from_db()
        messages.info(request, f"{_have_ended(ended)} with it.")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Take one off, and say what that does not do."""
        super().delete_model(request, obj)
        _tell_taken_off(request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Take the chosen ones off, and say what that does not do."""
        super().delete_queryset(request, queryset)
        _tell_taken_off(request)


@admin.register(Consent)
class ConsentAdmin(LookOnlyAdmin):
    """The proofs: what people agreed to, when, and where."""

    actions = None
    list_display = ("created_at", "kind", "address", "list_name", "form")
    list_filter = ("kind", "form")
    search_fields = ("canonical",)
    search_help_text = "An address, or a part of one."
    ordering = ("-pk",)
    fields = (
        "kind",
        "created_at",
        "address",
        "list_name",
        "form",
        "words",
        "language",
        "source",
        "ip",
        "user_agent",
        "notice",
        "detail",
    )
    readonly_fields = ("words",)
    list_select_related = ("text",)

    @admin.display(description="What the person read")
    def words(self, proof: Consent) -> str:
        """The words, their version and their fingerprint."""
        if proof.text is None:
            return "–"
        return f"“{proof.text.text}” (version {proof.text.version or '–'}, SHA-256 {proof.text.sha256})"


@admin.register(Notice)
class NoticeAdmin(LookOnlyAdmin):
    """Mails to one person: how far each has come. Bodies are left out: they hold links that still work."""

    actions = None
    list_display = ("kind", "recipient", "state_pill", "created_at", "sent_at", "attempts", "reason")
    list_filter = ("state", "kind")
    search_fields = ("recipient", "provider_id")
    search_help_text = "A part of an address, or the provider's id of a mail."
    ordering = ("-pk",)
    fields = (
        "kind",
        "recipient",
        "sender",
        "reply_to",
        "subject",
        "state_pill",
        "reason",
        "created_at",
        "attempts",
        "first_attempt_at",
        "not_before",
        "sent_at",
        "provider_id",
    )
    readonly_fields = ("state_pill",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the bodies."""
        return super().get_queryset(request).defer("text", "html", "headers")

    @admin.display(description="State", ordering="state")
    def state_pill(self, notice: Notice) -> str:
        """The state in its colour."""
        return pill(notice.state, notice.get_state_display())


def _have_ended(count: int) -> str:
    return "1 membership has ended" if count == 1 else f"{count:,} memberships have ended"


def _pause_of(membership: Subscription) -> str:
    until = membership.paused_until
    return f" on a pause until {date_format(timezone.localtime(until), 'j M Y')}" if until else ""


def _consent_line(proof: Consent) -> str:
    where = ", ".join(filter(None, (proof.form, proof.source, proof.ip or "", proof.detail)))
    return f"{proof.get_kind_display()} · {proof.list_name} ({where})"


def _notice_line(notice: Notice) -> str:
    outcome = f"{notice.get_state_display()}. {notice.reason}".strip()
    return f"Mail “{notice.subject}” – {outcome}"


def _tell_taken_off(request: HttpRequest) -> None:
    messages.info(request, "Memberships that ended with it stay ended; the person can sign up again.")
