"""Pages of an issue for stories from other sources: picked from feeds, or made from a link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message, username_of
from newsletter.admin.time_format import from_now
from newsletter.content.document import SectionKind, StoryContent
from newsletter.content.fields import LIMITS, field_faults
from newsletter.content.links import link_sha256
from newsletter.content.markdown import markdown_to_text
from newsletter.content.store import ContentError, load_content
from newsletter.gathering.page import UnreadableLink, story_from_link
from newsletter.gathering.pick import StoryPlacement, add_items, add_story, dismiss_items, items_to_pick, links_of
from newsletter.gathering.poll import poll_now
from newsletter.gathering.problems import problem_message
from newsletter.models import Feed, FeedItem, Issue
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


@dataclass(frozen=True, slots=True)
class OfferedItem:
    """A feed item as the page shows it."""

    pk: int
    title: str
    url: str
    source: str
    summary: str
    time: str


@dataclass(frozen=True, slots=True)
class FollowedFeed:
    """A feed as the page shows it."""

    name: str
    status: str
    problem: str


# Stories from feeds


@require_http_methods(["GET", "HEAD", "POST"])
def show_feeds(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The new items of the newsletter's feeds. Adds or dismisses the selected items, or polls the feeds."""
    data = request.POST if request.method == "POST" else None
    form = SectionForm(issue, data, without_choice=_("The section of each feed, or the last section with stories"))
    refusal = ""
    if data is not None:
        action = {"add": _add, "dismiss": _dismiss, "dismiss_all": _dismiss_all}.get(data.get("do", ""), _poll)
        try:
            response = action(request, issue, form)
        except ContentError as error:
            response, refusal = None, str(error)
        if response is not None:
            return response
    return issue_page(
        request,
        issue,
        "feeds",
        title=_("Stories from feeds: %(issue)s") % {"issue": issue.title},
        tab="change",
        form=form,
        refusal=refusal,
        items=[_offered(item) for item in items_to_pick(issue.newsletter)],
        selected=_selected(request),
        feeds=[_followed(feed) for feed in Feed.objects.filter(newsletter=issue.newsletter)],
        may_follow=request.user.has_perm("newsletter.change_newsletter"),
    )


def _add(request: HttpRequest, issue: Issue, form: SectionForm) -> HttpResponse | None:
    selected = _selected(request)
    if not form.is_valid():
        return None
    if not selected:
        return _nothing_selected(request, issue)
    added = add_items(issue, selected, section=form.section_heading(), by=username_of(request))
    if not added:
        message = _("Nothing was added: another user has used or dismissed these stories.")
        return redirect_with_message(request, message, page_url(issue, "feeds"), level=messages.WARNING)
    if missing := len(set(selected)) - added:
        message = ngettext(
            "%(count)s story was skipped: another user has used or dismissed it.",
            "%(count)s stories were skipped: another user has used or dismissed them.",
            missing,
        ) % {"count": missing}
        messages.warning(request, message)
    message = ngettext(
        "%(count)s story was added to the draft.", "%(count)s stories were added to the draft.", added
    ) % {"count": added}
    return redirect_with_message(request, message, page_url(issue, "change"))


def _dismiss(request: HttpRequest, issue: Issue, form: SectionForm) -> HttpResponse:
    selected = _selected(request)
    return _dismissed(request, issue, selected) if selected else _nothing_selected(request, issue)


def _dismiss_all(request: HttpRequest, issue: Issue, form: SectionForm) -> HttpResponse:
    """Dismiss the items on the page, and none that came later."""
    return _dismissed(request, issue, _numbers(request.POST.get("listed", "").split()))


def _dismissed(request: HttpRequest, issue: Issue, item_pks: list[int]) -> HttpResponse:
    dismissed = dismiss_items(issue.newsletter, item_pks)
    message = ngettext("%(count)s story was dismissed.", "%(count)s stories were dismissed.", dismissed)
    return redirect_with_message(request, message % {"count": dismissed}, page_url(issue, "feeds"))


def _poll(request: HttpRequest, issue: Issue, form: SectionForm) -> HttpResponse:
    feeds = poll_now(issue.newsletter)
    message = ngettext(
        "%(count)s feed is being fetched. Reload this page in a moment.",
        "%(count)s feeds are being fetched. Reload this page in a moment.",
        feeds,
    ) % {"count": feeds}
    return redirect_with_message(request, message if feeds else _("No feed is active."), page_url(issue, "feeds"))


def _nothing_selected(request: HttpRequest, issue: Issue) -> HttpResponse:
    message = _("Select at least one story.")
    return redirect_with_message(request, message, page_url(issue, "feeds"), level=messages.WARNING)


def _selected(request: HttpRequest) -> list[int]:
    return _numbers(request.POST.getlist("item"))


def _numbers(texts: list[str]) -> list[int]:
    """The texts that can be the primary key of a row."""
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


def _offered(item: FeedItem) -> OfferedItem:
    summary = " ".join(markdown_to_text(item.summary).split())
    time = from_now(item.published_at or item.found_at)
    return OfferedItem(item.pk, item.title, item.url, item.source, summary, time)


def _followed(feed: Feed) -> FollowedFeed:
    status = _("fetched %(time)s") % {"time": from_now(feed.polled_at)} if feed.polled_at else _("not fetched yet")
    return FollowedFeed(str(feed), status if feed.is_active else _("switched off"), problem_message(feed))


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
    earlier_issue = links_of(issue.newsletter).get(link_sha256(placement.story.url))
    add_story(issue, placement, by=username_of(request))
    values = {"story": placement.story.title or placement.story.url, "issue": earlier_issue}
    if earlier_issue is None:
        message = _("“%(story)s” was added to the draft.") % values
        return redirect_with_message(request, message, page_url(issue, "change"))
    message = _(
        "“%(story)s” was added to the draft. The issue “%(issue)s” already contains its link: keep the story only "
        "if there is news."
    )
    return redirect_with_message(request, message % values, page_url(issue, "change"), level=messages.WARNING)


PAGES = (Page("feeds", show_feeds, RequiredPermission.CHANGE), Page("link", add_link, RequiredPermission.CHANGE))
