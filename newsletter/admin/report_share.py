"""Sharing the numbers of one story with its sponsor: a link that is shown once, and the list of those there are."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message, username_of
from newsletter.admin.time_format import in_zone
from newsletter.models import STARTED, Issue, ReportShare, Send
from newsletter.reports.engagement import links_of
from newsletter.reports.shared_story import MAX_SHARES, TooManyShares, can_be_shared, revoke_share, share_story

#: Links that the page lists, the newest first.
SHOWN = 100

#: Days after which a link ends; 0 for never.
LIFETIMES = (7, 30, 90, 365, 0)
DEFAULT_LIFETIME = 90


class ShareForm(forms.Form):
    """Which story, and for how long."""

    story = forms.TypedChoiceField(label=gettext_lazy("Story"), coerce=int)
    days = forms.TypedChoiceField(
        label=gettext_lazy("The link works for"), coerce=int, initial=DEFAULT_LIFETIME, choices=()
    )

    def __init__(self, send: Send, data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.fields["story"].choices = list(_labels(send).items())  # type: ignore[attr-defined]
        self.fields["days"].choices = [(days, _lifetime(days)) for days in LIFETIMES]  # type: ignore[attr-defined]

    @property
    def expires_at(self) -> datetime.datetime | None:
        """None: never."""
        days: int = self.cleaned_data["days"]
        return timezone.now() + datetime.timedelta(days=days) if days else None


@dataclass(frozen=True, slots=True)
class ShownShare:
    """One row of the list."""

    share: ReportShare
    story: str
    created: str
    expires: str
    status: str
    is_active: bool


@require_http_methods(["GET", "HEAD", "POST"])
def show_shares(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The form and the list. The answer to a POST shows the new link: only its hash is stored, so never again."""
    send = _shared_send(issue)
    form = ShareForm(send, request.POST if request.method == "POST" else None)
    link = ""
    if request.method == "POST" and form.is_valid():
        try:
            _share, token = share_story(
                send, form.cleaned_data["story"], by=username_of(request), expires_at=form.expires_at
            )
            link = settings.SITE_URL + reverse("shared-story", args=[token])
        except TooManyShares:
            form.add_error(None, _("%(count)d links of this issue work. Revoke one first.") % {"count": MAX_SHARES})
    return issue_page(
        request,
        issue,
        "report_share",
        title=_("Share with sponsor: %(issue)s") % {"issue": issue.title},
        tab="report",
        form=form,
        link=link,
        zone=send.time_zone,
        shares=_listed(send),
        report=page_url(issue, "report"),
    )


@require_POST
def revoke(request: HttpRequest, issue: Issue, share_pk: int) -> HttpResponse:
    """The link stops working at once; a repeat is harmless."""
    share = get_object_or_404(ReportShare, pk=share_pk, send__issue=issue)
    if revoke_share(share, by=username_of(request)):
        sentence = _("The link is revoked. Visitors who open it see that it does not work.")
    else:
        sentence = _("The link was revoked before.")
    return redirect_with_message(request, sentence, page_url(issue, "report_share"), level=messages.SUCCESS)


def _shared_send(issue: Issue) -> Send:
    send = issue.current_send
    if send is None or send.state not in STARTED or not can_be_shared(send):
        raise Http404
    return send


def _labels(send: Send) -> dict[int, str]:
    """Number of each link, and what it is called: `The long ebb (Deep dives, story 3)`."""
    return {
        link.number: f"{link.label or link.url} ({link.place})" if link.place else link.label or link.url
        for link in links_of(send.edition)
    }


def _lifetime(days: int) -> str:
    return _("%(count)d days") % {"count": days} if days else _("Until it is revoked")


def _listed(send: Send) -> list[ShownShare]:
    now, labels, zone = timezone.now(), _labels(send), send.time_zone
    return [
        ShownShare(
            share=share,
            story=labels.get(share.number, "–"),
            created=in_zone(share.created_at, zone),
            expires=in_zone(share.expires_at, zone) if share.expires_at else _("Never"),
            status=share.state_in_words(now),
            is_active=share.revoked_at is None and (share.expires_at is None or share.expires_at > now),
        )
        for share in send.shares.order_by("-pk")[:SHOWN]
    ]


PAGES = (
    Page("report/share", show_shares, RequiredPermission.SHARE),
    Page("report/share/<int:share_pk>/revoke", revoke, RequiredPermission.SHARE),
)
