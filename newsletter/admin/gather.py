"""Stories from elsewhere, on pages of an issue: picked from feeds, or made of a link."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from newsletter.admin.pages import Need, Page, editor_of, issue_page, page_url, tell_and_go
from newsletter.admin.time_format import from_now
from newsletter.content.document import SectionKind, StoryContent
from newsletter.content.fields import LIMITS, field_faults
from newsletter.content.link_key import link_sha256
from newsletter.content.markdown import markdown_to_text
from newsletter.content.store import ContentError, load_content
from newsletter.gathering.page import LinkUnreadable, story_from_link
from newsletter.gathering.pick import Placed, add_items, add_story, dismiss_items, items_to_pick, links_of
from newsletter.gathering.poll import look_now
from newsletter.models import Feed, FeedItem, Issue
from newsletter.outbound import site_fetch_policy

NEW_SECTION = "+"


class SectionForm(forms.Form):
    """Which section of the issue stories go to. After `is_valid`, `section()` is its heading; empty: no choice."""

    section = forms.ChoiceField(required=False, label="Section")
    new_section = forms.CharField(
        required=False,
        max_length=LIMITS["section heading"],
        label="Heading of the new section",
        help_text="Only where stories go into a new one.",
    )

    def __init__(self, issue: Issue, *args: Any, without_choice: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        content = load_content(issue)
        titles = dict.fromkeys(part.title for part in content.sections if part.kind == SectionKind.SECTION)
        choices = [("", without_choice), *((title, title) for title in titles if title), (NEW_SECTION, "A new section")]
        self.fields["section"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A new section needs a heading that may be stored; one that was typed is meant, whatever is chosen above."""
        heading = self.cleaned_data.get("new_section", "").strip()
        if self.cleaned_data.get("section") == NEW_SECTION and not heading:
            self.add_error("new_section", "Give the new section a heading, or choose one that is there.")
        for fault in field_faults("section heading", heading):
            self.add_error("new_section", fault)
        return self.cleaned_data

    def section_heading(self) -> str:
        """Where the stories go; only after `is_valid`."""
        return self.cleaned_data["new_section"].strip() or str(self.cleaned_data["section"])


class LinkForm(SectionForm):
    """A link, and where its story goes."""

    url = forms.CharField(
        label="Link",
        max_length=LIMITS["link"],
        widget=forms.TextInput(attrs={"inputmode": "url", "placeholder": "https://…", "autofocus": True}),
    )
    field_order = ("url", "section", "new_section")

    def clean_url(self) -> str:
        """A full address of the web."""
        url = str(self.cleaned_data["url"]).strip()
        for fault in field_faults("link", url):
            raise forms.ValidationError(fault)
        return url


@dataclass(frozen=True, slots=True)
class OfferedItem:
    """An item as the page shows it."""

    pk: int
    title: str
    url: str
    source: str
    summary: str
    when: str


@dataclass(frozen=True, slots=True)
class FollowedFeed:
    """A feed as the page shows it: its name, when it was looked at, and what went wrong."""

    name: str
    looked: str
    problem: str


# Stories from feeds


@require_http_methods(["GET", "HEAD", "POST"])
def show_feeds(request: HttpRequest, issue: Issue) -> HttpResponse:
    """What the newsletter's feeds have brought; adds what is ticked to the issue, dismisses it, or looks again."""
    data = request.POST if request.method == "POST" else None
    form = SectionForm(issue, data, without_choice="Where each feed says, else the last section with stories")
    refusal = ""
    if data is not None:
        action = {"add": _add, "dismiss": _dismiss, "dismiss_all": _dismiss_all, "look": _look}.get(
            data.get("do", ""), _look
        )
        try:
            answer = action(request, issue, form)
        except ContentError as error:
            answer, refusal = None, str(error)
        if answer is not None:
            return answer
    ticked = _ticked(request)
    return issue_page(
        request,
        issue,
        "feeds",
        title=f"Stories from feeds: {issue.title}",
        step="change",
        form=form,
        refusal=refusal,
        items=[_offered(item) for item in items_to_pick(issue.newsletter)],
        ticked=ticked,
        feeds=[_followed(feed) for feed in Feed.objects.filter(newsletter=issue.newsletter)],
        may_follow=request.user.has_perm("newsletter.change_newsletter"),
    )


def _add(request: HttpRequest, issue: Issue, form: SectionForm) -> HttpResponse | None:
    ticked = _ticked(request)
    if not form.is_valid():
        return None
    if not ticked:
        return _say_nothing_ticked(request, issue)
    added = add_items(issue, ticked, section=form.section_heading(), by=editor_of(request))
    if not added:
        sentence = "Nothing was added: somebody else has used or dismissed these stories meanwhile."
        return tell_and_go(request, sentence, page_url(issue, "feeds"), level=messages.WARNING)
    missing = len(set(ticked)) - added
    others = f" {_stories(missing)} used or dismissed by somebody else meanwhile." if missing else ""
    return tell_and_go(request, f"{_stories(added)} added to the draft.{others}", page_url(issue, "change"))


def _dismiss(request: HttpRequest, issue: Issue, form: SectionForm) -> HttpResponse:
    ticked = _ticked(request)
    return _dismissed(request, issue, ticked) if ticked else _say_nothing_ticked(request, issue)


def _dismiss_all(request: HttpRequest, issue: Issue, form: SectionForm) -> HttpResponse:
    """Dismiss what this person has seen on the page, and nothing that came later."""
    return _dismissed(request, issue, _numbers(request.POST.get("listed", "").split()))


def _dismissed(request: HttpRequest, issue: Issue, item_pks: list[int]) -> HttpResponse:
    dismissed = dismiss_items(issue.newsletter, item_pks)
    return tell_and_go(request, f"{_stories(dismissed)} dismissed: not offered again.", page_url(issue, "feeds"))


def _look(request: HttpRequest, issue: Issue, form: SectionForm) -> HttpResponse:
    feeds = look_now(issue.newsletter)
    sentence = f"The worker looks at {feeds} feed{'' if feeds == 1 else 's'} now. Reload this page in a moment."
    if not feeds:
        sentence = "No feed is followed, so there is nothing to look at."
    return tell_and_go(request, sentence, page_url(issue, "feeds"))


def _say_nothing_ticked(request: HttpRequest, issue: Issue) -> HttpResponse:
    return tell_and_go(request, "Tick the stories that you mean.", page_url(issue, "feeds"), level=messages.WARNING)


def _ticked(request: HttpRequest) -> list[int]:
    return _numbers(request.POST.getlist("item"))


def _numbers(texts: list[str]) -> list[int]:
    """Those of the texts that can be the number of a row."""
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


def _stories(count: int) -> str:
    return "1 story was" if count == 1 else f"{count} stories were"


def _offered(item: FeedItem) -> OfferedItem:
    moment: datetime.datetime = item.published_at or item.found_at
    summary = " ".join(markdown_to_text(item.summary).split())
    return OfferedItem(item.pk, item.title, item.url, item.source, summary, from_now(moment))


def _followed(feed: Feed) -> FollowedFeed:
    looked = f"looked at {from_now(feed.polled_at)}" if feed.polled_at else "not looked at yet"
    return FollowedFeed(str(feed), looked if feed.is_active else "switched off", feed.problem)


# A story from a link


@require_http_methods(["GET", "HEAD", "POST"])
def add_link(request: HttpRequest, issue: Issue) -> HttpResponse:
    """A form for a link; its page is fetched, which takes five seconds at most, and becomes a story of the issue."""
    data = request.POST if request.method == "POST" else None
    form = LinkForm(issue, data, without_choice="The last section with stories")
    refusal, unreadable = "", ""
    if form.is_valid():
        url = form.cleaned_data["url"]
        try:
            story = (
                StoryContent(title="", url=url) if "bare" in request.POST else story_from_link(url, site_fetch_policy())
            )
            return _add_story(request, issue, Placed(form.section_heading(), story))
        except LinkUnreadable as error:
            unreadable = str(error)
        except ContentError as error:
            refusal = str(error)
    return issue_page(
        request,
        issue,
        "link",
        title=f"A story from a link: {issue.title}",
        step="change",
        form=form,
        refusal=refusal,
        unreadable=unreadable,
    )


def _add_story(request: HttpRequest, issue: Issue, placed: Placed) -> HttpResponse:
    stands_in = links_of(issue.newsletter).get(link_sha256(placed.story.url))
    add_story(issue, placed, by=editor_of(request))
    sentence = f"“{placed.story.title or placed.story.url}” was added to the draft."
    if stands_in is None:
        return tell_and_go(request, sentence, page_url(issue, "change"))
    sentence += f" Its link stands in “{stands_in}” already: is it new to your readers?"
    return tell_and_go(request, sentence, page_url(issue, "change"), level=messages.WARNING)


PAGES = (Page("feeds", show_feeds, Need.CHANGE), Page("link", add_link, Need.CHANGE))
