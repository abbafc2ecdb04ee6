"""What an editor does with one subscriber: notes, pauses, unsubscribes, suppressions, mails."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from subscribers.admin.read_only import editor_evidence
from subscribers.admin.rights import may_change, may_lift, may_suppress, shown_address
from subscribers.admin.subscriber_page import form_page, page_url
from subscribers.consent import actions
from subscribers.consent.links import LinkRefused, send_preferences_link
from subscribers.directory.lift import lift_suppression
from subscribers.models import Note, Subscriber, Subscription, SubscriptionState, SuppressionReason
from subscribers.suppression import SuppressionSecretDiffers, get_suppression, suppress_addresses

#: The longest note.
MAX_NOTE = 5000


def _done(request: HttpRequest, subscriber: Subscriber, sentence: str, level: int = messages.SUCCESS) -> HttpResponse:
    messages.add_message(request, level, sentence)
    return HttpResponseRedirect(page_url(subscriber))


def _require(allowed: bool) -> None:
    if not allowed:
        raise PermissionDenied


@require_POST
def add_note(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """Store a note of the team."""
    _require(request.user.has_perm("subscribers.add_note"))
    text = request.POST.get("text", "").replace("\0", "").strip()[:MAX_NOTE]
    if not text:
        return _done(request, subscriber, _("Enter a note first."), messages.WARNING)
    Note.objects.create(subscriber=subscriber, text=text, by=request.user.get_username())
    return _done(request, subscriber, _("The note was added."))


@require_POST
def send_link(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """Mail the link to the preferences page, once per active subscription."""
    _require(may_change(request))
    sent = 0
    for subscription in _open_ones(subscriber, SubscriptionState.ACTIVE):
        try:
            send_preferences_link(subscription)
        except LinkRefused:
            continue
        sent += 1
    if not sent:
        sentence = _("No mail is sent: there is no active subscription, or enough of these mails were sent today.")
        return _done(request, subscriber, sentence, messages.WARNING)
    sentence = ngettext("%(count)d mail will be sent.", "%(count)d mails will be sent.", sent) % {"count": sent}
    return _done(request, subscriber, sentence)


@require_POST
def resume(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """End the pauses."""
    _require(may_change(request))
    evidence = editor_evidence(request)
    resumed = [actions.resume(each.key, evidence) for each in _open_ones(subscriber, SubscriptionState.ACTIVE)]
    if not any(resumed):
        return _done(request, subscriber, _("Nothing was paused."), messages.INFO)
    return _done(request, subscriber, _("The subscriber receives issues again."))


@require_POST
def allow_signups(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """Allow confirmation mails again, after “This was not me” or too many unanswered ones."""
    _require(may_change(request))
    actions.allow_signups_again([subscriber.pk])
    return _done(request, subscriber, _("The subscriber can receive confirmation mails again."))


def _open_ones(subscriber: Subscriber, *states: SubscriptionState) -> list[Subscription]:
    rows = subscriber.subscriptions.filter(state__in=states).select_related("mailing_list", "subscriber")
    return list(rows.order_by("mailing_list__name"))


class ListsForm(forms.Form):
    """Some of the subscriber's open subscriptions. All are chosen at first."""

    subscriptions = forms.ModelMultipleChoiceField(
        Subscription.objects.none(), label=gettext_lazy("Lists"), widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, rows: list[Subscription], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["subscriptions"]
        field.queryset = Subscription.objects.filter(pk__in=[row.pk for row in rows])  # type: ignore[attr-defined]
        field.choices = [(row.pk, row.mailing_list.name) for row in rows]  # type: ignore[attr-defined]
        field.initial = [row.pk for row in rows]


class PauseForm(ListsForm):
    """For how long."""

    weeks = forms.TypedChoiceField(
        label=gettext_lazy("For"),
        coerce=int,
        choices=[
            (weeks, ngettext_lazy("%(count)d week", "%(count)d weeks", weeks) % {"count": weeks})
            for weeks in actions.PAUSE_WEEKS
        ],
    )


class EndForm(ListsForm):
    """Why."""

    words = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("Stored with the consent. The subscriber gets it when they ask for their data."),
    )


class WordsForm(forms.Form):
    """Why; required."""

    words = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        help_text=gettext_lazy("Stored in the history. The subscriber gets it when they ask for their data."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def pause(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """Ask for how long, then pause."""
    _require(may_change(request))
    rows = _open_ones(subscriber, SubscriptionState.ACTIVE)
    if not rows:
        return _done(request, subscriber, _("There is no active subscription to pause."), messages.INFO)
    form = PauseForm(rows, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        for subscription in form.cleaned_data["subscriptions"]:
            actions.pause(subscription.key, form.cleaned_data["weeks"], editor_evidence(request))
        return _done(request, subscriber, _("Issues are paused."))
    sentences = [_("The subscriber stays subscribed, and receives no issues until then.")]
    return form_page(
        request, subscriber, form=form, title=_("Pause"), sentences=sentences, button=_("Pause subscription")
    )


@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """Ask before ending subscriptions, because no editor can undo it."""
    _require(may_change(request))
    rows = _open_ones(subscriber, SubscriptionState.ACTIVE, SubscriptionState.PENDING)
    if not rows:
        return _done(request, subscriber, _("All of these subscriptions have already ended."), messages.INFO)
    form = EndForm(rows, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        evidence = editor_evidence(request, form.cleaned_data["words"])
        count = actions.unsubscribe_all(form.cleaned_data["subscriptions"], evidence)
        sentence = ngettext("%(count)d subscription has ended.", "%(count)d subscriptions have ended.", count)
        return _done(request, subscriber, sentence % {"count": count})
    sentences = [
        _("The subscriber receives no more issues of these lists."),
        _("You cannot undo this: only the subscribers themselves can subscribe again."),
    ]
    return form_page(
        request,
        subscriber,
        form=form,
        title=_("Unsubscribe"),
        sentences=sentences,
        button=_("Unsubscribe"),
        is_destructive=True,
    )


@require_http_methods(["GET", "HEAD", "POST"])
def suppress(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """Ask for the reason, then suppress the address on every list."""
    _require(may_suppress(request))
    form = WordsForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        words = form.cleaned_data["words"]
        cause = (SuppressionReason.MANUAL, words)
        try:
            suppress_addresses({subscriber.canonical: cause}, editor_evidence(request, words))
        except SuppressionSecretDiffers as error:
            return _done(request, subscriber, str(error), messages.ERROR)
        return _done(request, subscriber, _("The address is suppressed."))
    sentences = [
        _("The address gets no mail of any list, and cannot sign up. All of its subscriptions end."),
        _("Lifting the suppression later does not bring them back."),
    ]
    return form_page(
        request,
        subscriber,
        form=form,
        title=_("Suppress"),
        sentences=sentences,
        button=_("Suppress address"),
        is_destructive=True,
    )


@require_http_methods(["GET", "HEAD", "POST"])
def lift(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """Ask for the reason, then allow mail to the address again."""
    _require(may_lift(request))
    suppression = get_suppression(subscriber.canonical)
    if suppression is None:
        return _done(request, subscriber, _("The address is not suppressed."), messages.INFO)
    form = WordsForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        lift_suppression(subscriber, words=form.cleaned_data["words"], by=request.user.get_username())
        sentence = _(
            "The address can be mailed again. Its subscriptions stay ended until the subscriber signs up again."
        )
        return _done(request, subscriber, sentence)
    sentences = [
        _("Reason of the suppression: %(reason)s.") % {"reason": suppression.get_reason_display()},
        _("Subscriptions stay ended: only the subscriber can subscribe again."),
    ]
    if suppression.reason == SuppressionReason.COMPLAINT:
        sentences.insert(
            1,
            _("%(address)s reported a mail as spam. Lift this only if they asked you to.")
            % {"address": shown_address(request, subscriber)},
        )
    return form_page(
        request, subscriber, form=form, title=_("Lift suppression"), sentences=sentences, button=_("Lift suppression")
    )
