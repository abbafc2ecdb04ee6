"""Pages of the admin in tests: their URLs, their visible text, and their forms as browsers submit them."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.content.document import IssueContent
from newsletter.models import Issue


def page_of(issue: Issue, name: str = "change", *arguments: object) -> str:
    """URL of a page of the issue."""
    return reverse(f"admin:newsletter_issue_{name}", args=[issue.pk, *arguments])


def words_on(response: Any) -> str:
    """The text of a page on one line, without templates and scripts."""
    tree = lxml_html.fromstring(response.content.decode())
    for hidden in tree.xpath("//template | //script"):
        hidden.getparent().remove(hidden)
    return " ".join(" ".join(tree.itertext()).split())


def form_data(client: Client, url: str, form: str = "//form[@id='issue_form']") -> dict[str, str]:
    """The data that a browser without JavaScript submits for the untouched form of a page."""
    return form_on(client.get(url), form)


def form_on(response: Any, form: str) -> dict[str, str]:
    """The same for a response."""
    tree = lxml_html.fromstring(response.content.decode())
    for template in tree.xpath("//template"):
        template.getparent().remove(template)
    node = tree.xpath(form)[0]
    texts = {area.name for area in node.xpath(".//textarea")}
    sent = {name: node.fields[name] for name in node.fields.keys() if node.fields[name] is not None}  # noqa: SIM118
    # Browsers drop the line break that follows the opening tag; this parser keeps it.
    return {name: value.removeprefix("\n") if name in texts else value for name, value in sent.items()}


def confirm(client: Client, issue: Issue, page: str, *, given: dict[str, str] | None = None, **changes: str) -> Any:
    """Submit the form of a page of the issue with `changes`, and follow the redirect.

    `given` is submitted first where a page asks for confirmation, as the schedule does.
    """
    url = page_of(issue, page)
    shown = client.post(url, given) if given else client.get(url)
    sent = form_on(shown, "//main//form[.//button[@type='submit']]") | ({"confirm": "1"} if given else {})
    return client.post(url, sent | changes, follow=True)


def status_of(issue: Issue) -> str:
    """Its status as it is in the database now."""
    return Issue.objects.get(pk=issue.pk).status


def rows_data(rows: list[dict[str, str]]) -> dict[str, str]:
    """The fields of new rows, as compose.js submits them."""
    data = {"rows-TOTAL_FORMS": str(len(rows)), "rows-INITIAL_FORMS": "0"}
    for index, row in enumerate(rows):
        data |= {f"rows-{index}-{name}": value for name, value in ({"ORDER": str(index + 1)} | row).items()}
    return data


def envelope_data(content: IssueContent) -> dict[str, str]:
    """The fields above the rows."""
    return {
        "title": content.title,
        "slug": content.slug,
        "date": content.date.isoformat(),
        "subject": content.subject,
        "preheader": content.preheader,
        "category_names": ", ".join(content.categories),
    }
