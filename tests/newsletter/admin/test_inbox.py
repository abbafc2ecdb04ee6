"""The inbox in the admin without scripts, and what its script asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.content.document import SectionContent, StoryContent
from newsletter.content.store import load_content
from newsletter.models import Feed, Issue, LinkWay, Newsletter, SavedLink
from tests.feeds import make_links
from tests.newsletter.admin.pages import form_on, words_on
from tests.publications import make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.any_database

SCRIPT = {"Accept": "application/json"}


@pytest.fixture
def url(issue: Issue) -> str:
    return f"{reverse('inbox')}?newsletter={issue.newsletter_id}"


def titles(answer: Any) -> list[str]:
    return [link.title for link in answer.context["links"]]


def states() -> dict[str, str]:
    return dict(SavedLink.objects.order_by("pk").values_list("title", "state"))


def stories_of(issue: Issue, heading: str) -> list[str]:
    sections = {section.title: section for section in load_content(issue).sections}
    return [story.title for story in sections[heading].stories]


# The list


def test_links_are_listed_with_what_is_known_of_them(edda: Client, url: str, issue: Issue) -> None:
    make_links(1, times=3)
    ran = (SectionContent(title="Cranes", stories=(StoryContent(title="T", url="https://quay.example/1#photo"),)),)
    make_issue("issue-0", title="Older cranes", sections=ran)
    shown = words_on(edda.get(url))
    assert "Quay 1 Harbour Daily · 3 feeds · just now linked 3 times Edit Quay 1 Crane 1 lifts." in shown
    assert "Ran before" in shown
    assert "in Older cranes , Cranes, same address" in shown


def test_states_have_lists_of_their_own(edda: Client, url: str) -> None:
    for number, state in enumerate(("new", "kept", "used", "dismissed", "expired")):
        make_links(number, feed=Feed.objects.first(), state=state, title=state)
    for state in ("new", "kept", "used", "dismissed", "expired"):
        assert titles(edda.get(f"{url}&state={state}")) == [state]
    assert "New 1 Kept 1 Used Dropped Expired" in words_on(edda.get(url))


def test_long_lists_go_on_at_the_last_link(edda: Client, url: str) -> None:
    make_links(*range(30))
    first = edda.get(url)
    second = edda.get(first.context["next_url"])
    assert (len(titles(first)), len(titles(second))) == (25, 5)
    assert not second.context["next_url"]
    assert "First page" in words_on(second)


def test_a_page_of_links_is_small(edda: Client, url: str) -> None:
    make_links(*range(30), summary="A drawn guide with the two mistakes that everyone makes. " * 4, times=2)
    answer = edda.get(url)
    tree = lxml_html.fromstring(answer.content.decode())
    assert len(titles(answer)) == 25
    assert len(tree.xpath("//*")) <= 700
    assert len(answer.content) <= 35_000
    script = finders.find("newsletter/admin/inbox.js")
    assert Path(str(script)).stat().st_size <= 8_192


@pytest.mark.parametrize(
    "query", ["state=x", "sort=x", "tag=x", "after=x", "issue=x", "newsletter=x", "page=2", "tag=" + "9" * 40]
)
def test_what_the_page_does_not_offer_is_refused(edda: Client, url: str, query: str) -> None:
    assert edda.get(f"{reverse('inbox')}?{query}").status_code == 400


def test_each_newsletter_has_an_inbox_of_its_own(edda: Client, url: str) -> None:
    make_links(1)
    other = make_newsletter("ferry-post", name="Ferry Post")
    assert titles(edda.get(f"{reverse('inbox')}?newsletter={other.pk}")) == []
    assert titles(edda.get(url)) == ["Quay 1"]


def test_an_empty_inbox_says_how_links_come_in(edda: Client, url: str) -> None:
    empty = "No new links. Save one above, add a feed, or use the save button in your browser."
    assert empty in words_on(edda.get(url))
    assert "No link matches." in words_on(edda.get(f"{url}&q=crane"))
    Issue.objects.all().delete()
    assert "There is no draft to add links to. New issue" in words_on(edda.get(url))


def test_without_a_newsletter_the_page_says_so(edda: Client) -> None:
    assert "There is no newsletter yet." in words_on(edda.get(reverse("inbox")))


def test_feeds_are_shown_with_the_results_of_their_last_fetches(edda: Client, url: str) -> None:
    newsletter, at = make_newsletter(), timezone.now()
    for name, more in (
        ("A", {"new_links": 2}),
        ("B", {"without_link": 12}),
        ("C", {"problem": "http_error", "problem_detail": {"status": 503}}),
    ):
        Feed.objects.create(newsletter=newsletter, url=f"https://{name}.example/", source=name, polled_at=at, **more)
    shown = words_on(edda.get(url))
    assert "A just now · 2 new" in shown
    assert "B 12 entries had no link and were skipped" in shown
    assert "C just now · The server responded with an error (HTTP 503)." in shown
    assert "3 feeds are being fetched." in words_on(edda.post(url, {"poll": "1"}, follow=True))


# Saving


def test_several_links_are_saved_at_once(edda: Client, url: str) -> None:
    sent = {"save": "1", "links": "https://q.example/1\nhttps://q.example/2", "note": "Tall"}
    shown = words_on(edda.post(url, sent, follow=True))
    assert "2 links are saved. Title, source and summary are being fetched." in shown
    assert "https://q.example/2 saved by edda · just now" in shown
    assert "Fetching title and summary…" in shown
    assert set(SavedLink.objects.values_list("note", "way")) == {("Tall", LinkWay.FORM)}


def test_a_link_that_is_there_already_is_named_with_its_state(edda: Client, url: str) -> None:
    make_links(1, state="kept")
    answer = edda.post(url, {"save": "1", "links": "https://quay.example/1/"}, follow=True)
    assert "“Quay 1” is already in the inbox since" in words_on(answer)
    assert "(kept)." in words_on(answer)


def test_what_is_no_link_is_refused_and_kept_in_the_field(edda: Client, url: str) -> None:
    answer = edda.post(url, {"save": "1", "links": "quay.example"})
    assert "Nothing was saved. The address is not a full web address." in words_on(answer)
    assert ">quay.example</textarea>" in answer.content.decode()
    assert not SavedLink.objects.exists()


# Deciding


def test_a_button_decides_about_its_link_and_the_selection_about_all(edda: Client, url: str) -> None:
    first, second, third = make_links(1, 2, 3)
    edda.post(url, {"keep": str(first.pk), "link": [second.pk]})
    assert states() == {"Quay 1": "kept", "Quay 2": "new", "Quay 3": "new"}
    edda.post(url, {"drop": "selected", "link": [second.pk, third.pk]})
    assert states() == {"Quay 1": "kept", "Quay 2": "dismissed", "Quay 3": "dismissed"}


@pytest.mark.parametrize("do", ["keep", "drop"])
def test_a_decision_is_undone_with_one_button(edda: Client, url: str, do: str) -> None:
    (link,) = make_links(1)
    answer = edda.post(url, {do: str(link.pk)}, follow=True)
    edda.post(url, form_on(answer, "//form[@data-undo]") | {"undo": answer.context["undo"]["state"]})
    assert states() == {"Quay 1": "new"}
    assert edda.get(url).context["undo"] is None


@pytest.mark.parametrize("sent", [{"keep": "selected"}, {"drop": "selected", "link": ["x", "", "9" * 40]}])
def test_at_least_one_link_must_be_selected(edda: Client, url: str, sent: dict[str, Any]) -> None:
    make_links(1)
    assert "Select at least one link." in words_on(edda.post(url, sent, follow=True))


def test_a_script_gets_the_sentence_the_counts_and_what_can_be_undone(edda: Client, url: str, issue: Issue) -> None:
    first, second = make_links(1, 2)
    data = edda.post(url, {"keep": str(first.pk)}, headers=SCRIPT).json()
    assert (data["sentence"], data["is_error"]) == ("Kept. 1 new link left.", False)
    assert data["undo"] == {"state": "new", "links": [first.pk]}
    assert data["counts"] == {"new": "1", "kept": "1"}
    sent = {"to": f"{issue.pk}:Ferries", "link": second.pk}
    data = edda.post(reverse("inbox_add"), sent, headers=SCRIPT).json()
    assert data["sentence"] == "1 story was added to “Ferries”. 0 new links left."
    assert data["targets"][f"{issue.pk}:Ferries"] == "1 story"
    again = edda.post(reverse("inbox_add"), sent, headers=SCRIPT).json()
    assert (again["is_error"], again["undo"]) == (True, None)


def test_pages_that_could_not_be_fetched_can_be_tried_again(edda: Client, url: str) -> None:
    (link,) = make_links(1, metadata="failed", metadata_problem="The server is away.")
    assert "Not fetched Try again" in words_on(edda.get(url))
    assert "The page is being fetched again." in words_on(edda.post(url, {"retry": str(link.pk)}, follow=True))
    link.refresh_from_db()
    assert link.metadata == "pending"


# Adding


def test_links_are_added_to_a_section_of_the_next_draft(edda: Client, url: str, issue: Issue) -> None:
    first, second = make_links(1, 2)
    page = edda.post(url, {"add": "selected", "link": [first.pk, second.pk]}, follow=True)
    assert "Quay 1" in words_on(page)
    choices = [each.value for each in page.context["choices"]]
    assert choices == [f"{issue.pk}:{title}" for title in ("Signal of the day", "Deep dives", "The pattern")]
    sent = form_on(page, "//main//form") | {"link": [first.pk, second.pk], "to": choices[1]}
    answer = edda.post(reverse("inbox_add"), sent, follow=True)
    assert "2 stories were added to “Deep dives”." in words_on(answer)
    assert stories_of(issue, "Deep dives")[-2:] == ["Quay 1", "Quay 2"]
    assert states() == {"Quay 1": "used", "Quay 2": "used"}
    # The last choice comes first from now on.
    assert next(each.value for each in answer.context["choices"]) == choices[1]


def test_links_can_go_to_a_new_section_and_to_another_draft(edda: Client, issue: Issue) -> None:
    first, second = make_links(1, 2)
    other = make_issue("issue-2", title="Later")
    edda.post(reverse("inbox_add"), {"link": first.pk, "to": f"{issue.pk}:", "new_section": "Ferries"})
    edda.post(reverse("inbox_add"), {"link": second.pk, "to": f"{other.pk}:Deep dives"})
    assert stories_of(issue, "Ferries") == ["Quay 1"]
    assert stories_of(other, "Deep dives")[-1] == "Quay 2"


def test_adding_is_undone_with_one_button(edda: Client, url: str, issue: Issue) -> None:
    (link,) = make_links(1, state="kept")
    before = load_content(issue)
    answer = edda.post(reverse("inbox_add"), {"link": link.pk, "to": f"{issue.pk}:The pattern"}, follow=True)
    edda.post(url, form_on(answer, "//form[@data-undo]") | {"undo": answer.context["undo"]["state"]})
    assert load_content(issue) == before
    assert states() == {"Quay 1": "kept"}


def test_nothing_is_added_to_an_issue_that_is_sent(edda: Client, issue: Issue) -> None:
    (link,) = make_links(1)
    start_sending(issue)
    answer = edda.post(reverse("inbox_add"), {"link": link.pk, "to": f"{issue.pk}:Ferries"}, headers=SCRIPT)
    assert answer.json()["is_error"]
    assert "Nothing was added. The content of" in answer.json()["sentence"]
    assert states() == {"Quay 1": "new"}


def test_the_issue_of_another_newsletter_takes_no_link(edda: Client) -> None:
    (link,) = make_links(1)
    other = make_issue(newsletter=make_newsletter("ferry-post"))
    assert edda.post(reverse("inbox_add"), {"link": link.pk, "to": f"{other.pk}:News"}).status_code == 404


# Tags and note


def test_title_note_and_tags_are_written_on_a_page_of_the_link(edda: Client, url: str) -> None:
    (link,) = make_links(1)
    page = reverse("inbox_link", args=[link.pk])
    sent = form_on(edda.get(page), "//main//form") | {"title": "Tall quay", "note": "Ask Ada", "tags": "Ports, quiet"}
    assert "Tall quay Harbour Daily · feed · just now ports quiet" in words_on(edda.post(page, sent, follow=True))
    assert "Error:" in words_on(edda.post(page, sent | {"tags": "a" * 41}))


# Who may do what


def test_viewers_see_the_list_without_buttons(signed_in: Callable[[str], Client], url: str) -> None:
    (link,) = make_links(1)
    lou = signed_in("lou")
    page = lou.get(url)
    assert titles(page) == ["Quay 1"]
    assert lxml_html.fromstring(page.content.decode()).xpath("//ol[@data-list]//button") == []
    assert "inbox.js" not in page.content.decode()
    for path, sent in (
        (url, {"keep": link.pk}),
        (url, {"save": "1", "links": "https://q.example/1"}),
        (reverse("inbox_add"), {"link": link.pk}),
        (reverse("inbox_save"), {"url": "https://q.example/1"}),
        (reverse("inbox_tools"), {"name": "Phone"}),
        (reverse("inbox_link", args=[link.pk]), {"title": "T"}),
    ):
        assert lou.post(path, sent).status_code == 403
    assert states() == {"Quay 1": "new"}


def test_those_who_see_no_issues_see_no_inbox(signed_in: Callable[[str], Client], url: str) -> None:
    norm = signed_in("norm")
    for name in ("inbox", "inbox_rows", "inbox_save", "inbox_tools", "inbox_manifest"):
        assert norm.get(reverse(name)).status_code == 403


def test_strangers_are_sent_to_the_login(client: Client, url: str) -> None:
    for name in ("inbox", "inbox_add", "inbox_rows", "inbox_save", "inbox_tools", "inbox_manifest"):
        assert client.get(reverse(name)).status_code == 302


# From elsewhere


def test_the_save_page_saves_nothing_before_its_button_is_pressed(edda: Client, issue: Issue) -> None:
    page = edda.get(f"{reverse('inbox_save')}?url=https%3A%2F%2Fquay.example%2F3%3Futm_source%3Dx&title=Quay+3")
    assert not SavedLink.objects.exists()
    answer = edda.post(reverse("inbox_save"), form_on(page, "//form"))
    assert "1 link is saved." in words_on(answer)
    link = SavedLink.objects.get()
    assert (link.title, link.way, link.saved_by) == ("Quay 3", LinkWay.BUTTON, "edda")
    again = edda.post(reverse("inbox_save"), form_on(page, "//form"))
    assert "“Quay 3” is already in the inbox" in words_on(again)


@pytest.mark.parametrize(
    "shared",
    ["url=https://quay.example/3", "text=https://quay.example/3", "text=Quay+3+https://quay.example/3&title=Quay"],
)
def test_phones_share_the_address_in_one_of_several_fields(edda: Client, issue: Issue, shared: str) -> None:
    page = edda.get(f"{reverse('inbox_save')}?way=share&{shared}")
    assert "Save and close" in words_on(page)
    edda.post(reverse("inbox_save"), form_on(page, "//form"))
    assert SavedLink.objects.values_list("url", "way").get() == ("https://quay.example/3", LinkWay.SHARE)


def test_the_save_page_refuses_what_is_no_link(edda: Client, issue: Issue) -> None:
    answer = edda.post(reverse("inbox_save"), {"url": "javascript:alert(1)"})
    assert "Nothing was saved." in words_on(answer)
    assert not SavedLink.objects.exists()


def test_the_save_page_saves_to_the_chosen_newsletter(edda: Client, issue: Issue) -> None:
    other = make_newsletter("ferry-post", name="Ferry Post")
    edda.post(reverse("inbox_save"), {"url": "https://quay.example/3", "newsletter": str(other.pk)})
    assert Newsletter.objects.get(saved_links__isnull=False) == other


def test_the_manifest_names_the_save_page_as_the_place_to_share_with(edda: Client, issue: Issue) -> None:
    answer = edda.get(reverse("inbox_manifest"))
    assert answer["Content-Type"] == "application/manifest+json"
    target = answer.json()["share_target"]
    assert (target["method"], target["action"]) == ("GET", f"{reverse('inbox_save')}?way=share")
    assert 'rel="manifest"' in edda.get(reverse("inbox")).content.decode()


def test_a_token_is_shown_once_and_can_be_revoked(edda: Client, issue: Issue) -> None:
    page = edda.post(reverse("inbox_tools"), {"name": "Script"})
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert _save_with(secret) == 201
    later = edda.get(reverse("inbox_tools"))
    assert secret not in later.content.decode()
    (token,) = later.context["tokens"]
    edda.post(reverse("inbox_tools"), {"revoke": token.pk})
    assert _save_with(secret) == 401


def _save_with(secret: str) -> int:
    body, headers = {"url": "https://quay.example/3"}, {"Authorization": f"Bearer {secret}"}
    return Client().post("/api/links/", body, content_type="application/json", headers=headers).status_code


def test_rows_of_fetched_links_come_as_a_fragment(edda: Client, url: str) -> None:
    (link,) = make_links(1)
    answer = edda.get(f"{reverse('inbox_rows')}?link={link.pk}&link=x")
    assert answer.content.decode().lstrip().startswith(f'<li id="link-{link.pk}"')
    assert "data-pending" not in answer.content.decode()
