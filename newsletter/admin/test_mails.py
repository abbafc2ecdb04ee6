"""The page that sends a test mail of an issue to a few addresses."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message
from newsletter.content.merge_fields import fallback_of, replace_merge_fields
from newsletter.models import Issue
from newsletter.sending.test_mail import MAX_ADDRESSES, PREFIX, TestMailRefused, send_test


class AddressesForm(forms.Form):
    """The recipients of the test mail."""

    addresses = forms.CharField(
        label=gettext_lazy("Send to"),
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "email", "spellcheck": "false"}),
        max_length=2000,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["addresses"].help_text = _(
            "Up to %(count)s email addresses, one per line or separated by commas."
        ) % {"count": MAX_ADDRESSES}

    def clean_addresses(self) -> list[str]:
        """Split the text into addresses."""
        return [part for part in re.split(r"[\s,;]+", self.cleaned_data["addresses"]) if part]


@require_http_methods(["GET", "HEAD", "POST"])
def show_test(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The form. Success redirects to the preview; a refusal is shown above the form."""
    form = AddressesForm(request.POST if request.method == "POST" else None, initial=_own_address(request))
    refusal: TestMailRefused | None = None
    if form.is_valid():
        try:
            sent = send_test(issue, form.cleaned_data["addresses"])
        except TestMailRefused as error:
            refusal = error
        else:
            sentence = _("The test mail was sent to %(addresses)s.") % {"addresses": ", ".join(sent)}
            return redirect_with_message(request, sentence, page_url(issue, "preview"))
    return issue_page(
        request,
        issue,
        "test",
        title=_("Send a test mail: %(title)s") % {"title": issue.title},
        tab="preview",
        form=form,
        refusal=refusal,
        subject=f"{PREFIX}{replace_merge_fields(issue.subject or issue.title, fallback_of)}",
    )


def _own_address(request: HttpRequest) -> dict[str, Any]:
    return {"addresses": getattr(request.user, "email", "")}


PAGES = (Page("test", show_test, RequiredPermission.CHANGE),)
