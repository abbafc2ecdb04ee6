"""The page of an issue that makes a story from a link, and the way from an issue to the inbox."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from newsletter.admin.inbox_rows import inbox_of_issue_url
from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message, username_of
from newsletter.content.document import SectionKind, StoryContent
from newsletter.content.fields import LIMITS, field_faults
from newsletter.content.links import link_sha256
from newsletter.content.store import ContentError, load_content
from newsletter.gathering.inbox import earlier_stories
from newsletter.gathering.page import UnreadableLink, story_from_link
from newsletter.gathering.pick import StoryPlacement, add_story
from newsletter.models import Issue
from newsletter.outbound import site_fetch_policy

NEW_SECTION = "+"


class SectionForm(forms.Form):
    """The section for new stories. After `is_valid`, `section_heading()` is its heading, or empty for no choice."""

    section = forms.ChoiceField(required=False, label=gettext_lazy("Section"))
    new_section = forms.CharField(
        required=False,
        max_length=LIMITS["section heading"],
        label=gettext_lazy("Heading of the new section"),
        help_text=gettext_lazy("Only for a new section."),
    )

    def __init__(self, issue: Issue, *args: Any, without_choice: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        content = load_content(issue)
        titles = dict.fromkeys(part.title for part in content.sections if part.kind == SectionKind.SECTION)
        choices = [
            ("", without_choice),
            *((title, title) for title in titles if title),
            (NEW_SECTION, _("New section")),
        ]
        self.fields["section"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A new section needs a valid heading. A heading that was entered overrides the chosen section."""
        heading = self.cleaned_data.get("new_section", "").strip()
        if self.cleaned_data.get("section") == NEW_SECTION and not heading:
            self.add_error("new_section", _("Enter a heading for the new section, or choose an existing section."))
        for fault in field_faults("section heading", heading):
            self.add_error("new_section", fault)
        return self.cleaned_data

    def section_heading(self) -> str:
        """The heading of the chosen section. Only valid after `is_valid`."""
        return self.cleaned_data["new_section"].strip() or str(self.cleaned_data["section"])


class LinkForm(SectionForm):
    """A link, and the section for its story."""

    url = forms.CharField(
        label=gettext_lazy("Link"),
        max_length=LIMITS["link"],
        widget=forms.TextInput(attrs={"inputmode": "url", "placeholder": "https://…", "autofocus": True}),
    )
    field_order = ("url", "section", "new_section")

    def clean_url(self) -> str:
        """A full web address."""
        url = str(self.cleaned_data["url"]).strip()
        for fault in field_faults("link", url):
            raise forms.ValidationError(fault)
        return url


def redirect_to_inbox(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The page with stories from feeds was here before feeds came to the inbox."""
    return HttpResponseRedirect(inbox_of_issue_url(issue))


# A story from a link


@require_http_methods(["GET", "HEAD", "POST"])
def add_link(request: HttpRequest, issue: Issue) -> HttpResponse:
    """A form that makes a story of the page at a link. Fetching the page takes at most five seconds."""
    data = request.POST if request.method == "POST" else None
    form = LinkForm(issue, data, without_choice=_("The last section with stories"))
    refusal, unreadable = "", ""
    if form.is_valid():
        url = form.cleaned_data["url"]
        try:
            story = (
                StoryContent(title="", url=url) if "bare" in request.POST else story_from_link(url, site_fetch_policy())
            )
            return _add_story(request, issue, StoryPlacement(form.section_heading(), story))
        except UnreadableLink as error:
            unreadable = str(error)
        except ContentError as error:
            refusal = str(error)
    return issue_page(
        request,
        issue,
        "link",
        title=_("Story from a link: %(issue)s") % {"issue": issue.title},
        tab="change",
        form=form,
        refusal=refusal,
        unreadable=unreadable,
    )


def _add_story(request: HttpRequest, issue: Issue, placement: StoryPlacement) -> HttpResponse:
    url = placement.story.url
    earlier = earlier_stories(issue.newsletter, [url], [link_sha256(url)]).get(url)
    add_story(issue, placement, by=username_of(request))
    values = {"story": placement.story.title or url, "issue": earlier.issue.title if earlier else ""}
    if earlier is None:
        message = _("“%(story)s” was added to the draft.") % values
        return redirect_with_message(request, message, page_url(issue, "change"))
    message = _(
        "“%(story)s” was added to the draft. The issue “%(issue)s” already contains its link: keep the story only "
        "if there is news."
    )
    return redirect_with_message(request, message % values, page_url(issue, "change"), level=messages.WARNING)


PAGES = (Page("feeds", redirect_to_inbox, RequiredPermission.CHANGE), Page("link", add_link, RequiredPermission.CHANGE))
