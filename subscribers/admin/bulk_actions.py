"""Actions on many subscribers: what is asked before, and how far they have come."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from subscribers.admin.rights import may_change, may_see_personal_data, may_suppress
from subscribers.directory.bulk import AT_ONCE, cancel_bulk_action, start_bulk_action
from subscribers.directory.counting import CONFIRMATION_CAP, Count, Precision, count_rows
from subscribers.directory.selection import InvalidSelection, Selection, SelectionGone
from subscribers.models import (
    BulkAction,
    BulkActionKind,
    BulkActionState,
    MailingList,
    Segment,
    Subscriber,
    Tag,
    check_header_text,
)
from subscribers.models.bulk_action import OPEN
from subscribers.profile.tags import MAX_NAME, clean_tag_name, get_tags
from subscribers.state_machine import InvalidTransition

#: Actions that the list shows while they run, and choices of a form.
MAX_SHOWN, MAX_CHOICES = 5, 500


def offered_actions(request: HttpRequest) -> list[tuple[str, str]]:
    """Those that this editor may run: kind and label."""
    labels = {
        BulkActionKind.ADD_TAG: _("Add tag…"),
        BulkActionKind.REMOVE_TAG: _("Remove tag…"),
        BulkActionKind.ADD_TO_SEGMENT: _("Add to segment…"),
        BulkActionKind.UNSUBSCRIBE: _("Unsubscribe…"),
        BulkActionKind.SUPPRESS: _("Suppress…"),
    }
    return [(kind.value, label) for kind, label in labels.items() if _may_run(request, kind)]


def _may_run(request: HttpRequest, kind: BulkActionKind) -> bool:
    return may_suppress(request) if kind == BulkActionKind.SUPPRESS else may_change(request)


def open_actions() -> list[BulkAction]:
    """The actions that are not over, the oldest first."""
    return list(BulkAction.objects.filter(state__in=OPEN).order_by("pk")[:MAX_SHOWN])


def recent_results(request: HttpRequest) -> list[tuple[bool, str]]:
    """What this editor's actions in the background have led to lately: whether it failed, and a sentence."""
    lately = timezone.now() - datetime.timedelta(hours=1)
    ended = BulkAction.objects.filter(
        Q(total__gt=AT_ONCE) | Q(is_estimate=True),
        by=request.user.get_username(),
        state__in=(BulkActionState.FINISHED, BulkActionState.FAILED),
        finished_at__gte=lately,
    )
    return [
        (action.state == BulkActionState.FAILED, " ".join(filter(None, (_failure(action), result_sentence(action)))))
        for action in ended.order_by("-pk")[:MAX_SHOWN]
    ]


def _failure(action: BulkAction) -> str:
    if action.state != BulkActionState.FAILED:
        return ""
    return _("“%(action)s” failed: %(reason)s") % {
        "action": action.get_kind_display(),
        "reason": action.get_reason_display(),
    }


class ActionForm(forms.Form):
    """What an action needs to know."""

    def __init__(self, selection: Selection, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.selection = selection

    def values(self) -> dict[str, Any]:
        """The values of the action, from a valid form."""
        return {"words": self.cleaned_data.get("words", "")}


class OnListForm(ActionForm):
    """For what belongs to one list."""

    mailing_list = forms.ModelChoiceField(
        MailingList.objects.order_by("name"), label=gettext_lazy("List"), empty_label=None
    )

    def __init__(self, selection: Selection, *args: Any, **kwargs: Any) -> None:
        super().__init__(selection, *args, **kwargs)
        lists = MailingList.objects.order_by("name")
        if selection.mailing_list:
            lists = lists.filter(pk=selection.mailing_list)
        field = self.fields["mailing_list"]
        field.queryset = lists  # type: ignore[attr-defined]
        if lists.count() == 1:
            field.initial = lists.first()
            field.widget = forms.HiddenInput()


class AddTagForm(OnListForm):
    """A tag by its name; it is made if it does not exist."""

    name = forms.CharField(
        label=gettext_lazy("Tag"),
        max_length=MAX_NAME,
        validators=[check_header_text],
        help_text=gettext_lazy("A new tag is created. Capital and small letters make no difference."),
    )

    def clean_name(self) -> str:
        """On one line, and without a comma."""
        return clean_tag_name(str(self.cleaned_data["name"]))

    def values(self) -> dict[str, Any]:
        (tag,) = get_tags(self.cleaned_data["mailing_list"], [self.cleaned_data["name"]])
        return {"tag": tag.pk, "name": tag.name}


class RemoveTagForm(ActionForm):
    """One of the tags."""

    tag = forms.ModelChoiceField(Tag.objects.all(), label=gettext_lazy("Tag"))

    def __init__(self, selection: Selection, *args: Any, **kwargs: Any) -> None:
        super().__init__(selection, *args, **kwargs)
        tags = Tag.objects.order_by("key")
        if selection.mailing_list:
            tags = tags.filter(mailing_list=selection.mailing_list)
        field = self.fields["tag"]
        field.queryset, field.initial = tags, selection.tag  # type: ignore[attr-defined]
        field.widget.choices = [
            ("", "–"),
            *(
                (pk, f"{name} ({list_name})")
                for pk, name, list_name in tags.values_list("pk", "name", "mailing_list__name")[:MAX_CHOICES]
            ),
        ]

    def values(self) -> dict[str, Any]:
        tag = self.cleaned_data["tag"]
        return {"tag": tag.pk, "name": tag.name}


class SegmentForm(OnListForm):
    """A segment that is picked by hand, by its name; it is made if it does not exist."""

    name = forms.CharField(
        label=gettext_lazy("Segment"),
        max_length=100,
        validators=[check_header_text],
        help_text=gettext_lazy("A segment that is picked by hand. A new one is created."),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse the name of a segment with rules, which finds its subscriptions itself."""
        cleaned = super().clean() or {}
        mailing_list, name = cleaned.get("mailing_list"), cleaned.get("name")
        if Segment.objects.filter(mailing_list=mailing_list, name=name, is_picked=False).exists():
            self.add_error("name", ValidationError(_("This segment is found by rules. Enter another name.")))
        return cleaned

    def values(self) -> dict[str, Any]:
        segment, _made = Segment.objects.get_or_create(
            mailing_list=self.cleaned_data["mailing_list"], name=self.cleaned_data["name"], defaults={"is_picked": True}
        )
        return {"segment": segment.pk, "name": segment.name}


class UnsubscribeForm(ActionForm):
    """Why, for the record."""

    words = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("Stored with the consents."),
    )


class SuppressForm(ActionForm):
    """Why, for the record."""

    words = forms.CharField(
        label=gettext_lazy("Reason"), max_length=300, help_text=gettext_lazy("Stored with the suppressions.")
    )


FORMS: dict[BulkActionKind, type[ActionForm]] = {
    BulkActionKind.ADD_TAG: AddTagForm,
    BulkActionKind.REMOVE_TAG: RemoveTagForm,
    BulkActionKind.ADD_TO_SEGMENT: SegmentForm,
    BulkActionKind.UNSUBSCRIBE: UnsubscribeForm,
    BulkActionKind.SUPPRESS: SuppressForm,
}


def show_bulk_action(request: HttpRequest, kind: str) -> HttpResponse:
    """Ask before an action: how many subscribers, what happens, and what it needs to know. Then run or queue it."""
    if kind not in BulkActionKind.values:
        raise BadRequest("unknown action")
    action_kind = BulkActionKind(kind)
    if not _may_run(request, action_kind):
        raise PermissionDenied
    try:
        selection = Selection.from_query(request.GET.dict(), is_exact=not may_see_personal_data(request))
        count = count_rows(selection.subscribers(), CONFIRMATION_CAP)
    except InvalidSelection as error:
        raise BadRequest(str(error)) from error
    except SelectionGone as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:subscribers_subscriber_changelist"))
    back = f"{reverse('admin:subscribers_subscriber_changelist')}?{selection.without_keys().query}"
    form = FORMS[action_kind](selection, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        action = start_bulk_action(action_kind, selection, form.values(), by=request.user.get_username())
        _tell(request, action)
        return HttpResponseRedirect(back)
    return TemplateResponse(
        request,
        "admin/subscribers/subscriber/bulk.html",
        {
            **admin.site.each_context(request),
            "title": action_kind.label,
            "opts": Subscriber._meta,
            "form": form,
            "count": count,
            "sentences": _consequences(action_kind, selection, count),
            "button": action_kind.label,
            "is_destructive": action_kind in (BulkActionKind.UNSUBSCRIBE, BulkActionKind.SUPPRESS),
            "back": back,
        },
    )


def _consequences(kind: BulkActionKind, selection: Selection, count: Count) -> list[str]:
    """What the action will do, in sentences."""
    values = {"subscribers": count.subscribers}
    sentences = {
        BulkActionKind.ADD_TAG: [_("The tag is added to %(subscribers)s.")],
        BulkActionKind.REMOVE_TAG: [_("The tag is removed from %(subscribers)s.")],
        BulkActionKind.ADD_TO_SEGMENT: [_("This adds %(subscribers)s to the segment.")],
        BulkActionKind.UNSUBSCRIBE: [
            _("This ends subscriptions of %(subscribers)s, and they receive no more issues."),
            _("You cannot undo this: only the subscribers themselves can subscribe again."),
        ],
        BulkActionKind.SUPPRESS: [
            _("This suppresses the addresses of %(subscribers)s: they get no mail of any list, and cannot sign up."),
            _("All of their subscriptions end. Lifting a suppression does not bring them back."),
        ],
    }[kind]
    found = [sentence % values for sentence in sentences]
    if kind == BulkActionKind.UNSUBSCRIBE:
        found.insert(1, _which_subscriptions(selection))
    if count.precision is not Precision.EXACT or count.number > AT_ONCE:
        found.append(_("It runs in the background. The list of subscribers shows the progress."))
    return found


def _which_subscriptions(selection: Selection) -> str:
    mailing_list = MailingList.objects.filter(pk=selection.mailing_list).first() if selection.mailing_list else None
    if mailing_list:
        return _("Only subscriptions of %(list)s end.") % {"list": mailing_list.name}
    if selection.has_conditions:
        return _("Only subscriptions that match the filter end.")
    return _("Their subscriptions of every list end.")


def _tell(request: HttpRequest, action: BulkAction) -> None:
    if action.state in OPEN:
        messages.info(request, _("“%(action)s” is running in the background.") % {"action": action.get_kind_display()})
    elif action.state == BulkActionState.FAILED:
        messages.error(request, str(action.get_reason_display()))
    else:
        messages.success(request, result_sentence(action))


def result_sentence(action: BulkAction) -> str:
    """What an action has changed."""
    values = {"count": action.changed, "name": action.values.get("name", "")}
    sentence = {
        BulkActionKind.ADD_TAG: ngettext(
            "The tag “%(name)s” was added to %(count)d subscription.",
            "The tag “%(name)s” was added to %(count)d subscriptions.",
            action.changed,
        ),
        BulkActionKind.REMOVE_TAG: ngettext(
            "The tag “%(name)s” was removed from %(count)d subscription.",
            "The tag “%(name)s” was removed from %(count)d subscriptions.",
            action.changed,
        ),
        BulkActionKind.ADD_TO_SEGMENT: ngettext(
            "%(count)d subscription was added to the segment “%(name)s”.",
            "%(count)d subscriptions were added to the segment “%(name)s”.",
            action.changed,
        ),
        BulkActionKind.UNSUBSCRIBE: ngettext(
            "%(count)d subscription has ended.", "%(count)d subscriptions have ended.", action.changed
        ),
        BulkActionKind.SUPPRESS: ngettext(
            "%(count)d address is suppressed.", "%(count)d addresses are suppressed.", action.changed
        ),
    }[BulkActionKind(action.kind)]
    return sentence % values


@require_safe
def show_progress(request: HttpRequest) -> HttpResponse:
    """The open actions as an HTML fragment, with an ETag."""
    running = open_actions()
    # Not of the fragment, whose tokens against forged requests are new each time.
    numbers = [(action.pk, action.state, action.done, get_language()) for action in running]
    etag = f'"{hashlib.sha256(repr(numbers).encode()).hexdigest()[:32]}"'
    unchanged = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return unchanged
    body = render_to_string("admin/subscribers/subscriber/progress.html", {"running": running}, request)
    return HttpResponse(body, headers={"ETag": etag, "Cache-Control": "private, no-cache"})


@require_POST
def stop_bulk_action(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel an open action after its present chunk."""
    action = get_object_or_404(BulkAction, pk=pk)
    if not _may_run(request, BulkActionKind(action.kind)):
        raise PermissionDenied
    try:
        cancel_bulk_action(action)
    except InvalidTransition as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, _("Cancelled. %(result)s") % {"result": result_sentence(action)})
    return HttpResponseRedirect(reverse("admin:subscribers_subscriber_changelist"))
