"""The page that sends a test of an issue to a few addresses."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from newsletter.admin.pages import Need, Page, issue_page, page_url, tell_and_go
from newsletter.models import Issue
from newsletter.sending.test_mail import MOST_ADDRESSES, PREFIX, TestMailRefused, send_test


class AddressesForm(forms.Form):
    """Who gets the test."""

    addresses = forms.CharField(
        label="Send it to",
        help_text=f"Up to {MOST_ADDRESSES} addresses, one per line or separated by commas.",
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "email", "spellcheck": "false"}),
        max_length=2000,
    )

    def clean_addresses(self) -> list[str]:
        """The addresses as typed, one by one."""
        return [part for part in re.split(r"[\s,;]+", self.cleaned_data["addresses"]) if part]


@require_http_methods(["GET", "HEAD", "POST"])
def show_test(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The form; sending leads back to the preview, and what was refused is said here."""
    form = AddressesForm(request.POST if request.method == "POST" else None, initial=_own_address(request))
    refusal: TestMailRefused | None = None
    if form.is_valid():
        try:
            sent = send_test(issue, form.cleaned_data["addresses"])
        except TestMailRefused as error:
            refusal = error
        else:
            sentence = f"The test is on its way to {', '.join(sent)}."
            return tell_and_go(request, sentence, page_url(issue, "preview"))
    return issue_page(
        request,
        issue,
        "test",
        title=f"Send a test: {issue.title}",
        step="preview",
        form=form,
        refusal=refusal,
        subject=f"{PREFIX}{issue.subject or issue.title}",
    )


def _own_address(request: HttpRequest) -> dict[str, Any]:
    return {"addresses": getattr(request.user, "email", "")}


PAGES = (Page("test", show_test, Need.CHANGE),)
