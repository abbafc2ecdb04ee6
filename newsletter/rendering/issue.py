"""The pipeline: issue and masthead in, both parts with slots out. Pure: no database, no network, no clock.

content + masthead ─► nonce ─► Jinja ─► MJML ─► rewrite ─► mrml ─► premailer ─► proof
                                 └────► text part ───────────────────────────► proof
"""

from __future__ import annotations

import hashlib
import re

import orjson

from newsletter.content.document import IssueContent
from newsletter.content.links import web_link_problem
from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.context import IssueView, editor_links, view_issue, writing_direction
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.inline import inline_css
from newsletter.rendering.proof import REQUIRED_SLOTS, proof_html, proof_text, slots_used
from newsletter.rendering.shapes import Masthead, RenderedIssue
from newsletter.rendering.slots import SlotContext, slot_token
from newsletter.rendering.templates import fill_template, stylesheet, templates_digest

# What a mail header cannot carry, or what turns words around in a list of mails.
_NOT_IN_SUBJECT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def render_issue(content: IssueContent, masthead: Masthead, *, web_url: str) -> RenderedIssue:
    """Render an issue once for all its readers. `web_url` is where it can be read on the web.

    The same input gives the same bytes. RenderingError says, in a sentence for the editor, why it cannot be done.
    """
    canonical = _canonical_bytes(content, masthead, web_url)
    nonce = hashlib.sha256(templates_digest() + canonical).hexdigest()[:12]
    if f"zq{nonce}".encode() in canonical:
        raise RenderingError("This issue contains its own slot marker, which is no accident. Change any word of it.")
    _check_addresses(masthead, web_url)
    issue = view_issue(content)
    html = _render_html(issue, masthead, web_url, nonce)
    text = _render_text(issue, masthead, web_url, nonce)
    return RenderedIssue(
        subject=_checked_subject(content.subject or content.title),
        html=html,
        text=text,
        nonce=nonce,
        slots=slots_used(html, text, nonce=nonce),
        links=tuple(editor_links(issue)),
    )


def _render_html(issue: IssueView, masthead: Masthead, web_url: str, nonce: str) -> str:
    source = fill_template("issue/issue.mjml", _context(issue, masthead, web_url, nonce, SlotContext.HTML))
    html = inline_css(compile_mjml(source), stylesheet("issue/style.css"))
    proof_html(html, nonce)
    return html


def _render_text(issue: IssueView, masthead: Masthead, web_url: str, nonce: str) -> str:
    text = fill_template("issue/body.txt", _context(issue, masthead, web_url, nonce, SlotContext.PLAIN))
    proof_text(text, nonce)
    return text


def _context(
    issue: IssueView, masthead: Masthead, web_url: str, nonce: str, slot_context: SlotContext
) -> dict[str, object]:
    return {
        "issue": issue,
        "masthead": masthead,
        "direction": writing_direction(masthead.language),
        "web_url": web_url,
        **{slot: slot_token(nonce, slot, slot_context) for slot in REQUIRED_SLOTS},
    }


def _canonical_bytes(content: IssueContent, masthead: Masthead, web_url: str) -> bytes:
    """Everything the rendering depends on beside the templates, as bytes that are the same on every machine."""
    try:
        return orjson.dumps([content, masthead, web_url], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise RenderingError(f"The issue holds text that is not valid Unicode: {error}.") from error


def _check_addresses(masthead: Masthead, web_url: str) -> None:
    for url in (masthead.site_url, masthead.archive_url, web_url):
        problem = web_link_problem(url)
        if problem:
            raise RenderingError(f"An address of the newsletter itself {problem}: {url!r}.")


def _checked_subject(subject: str) -> str:
    hidden = _NOT_IN_SUBJECT.search(subject)
    if hidden:
        raise RenderingError(
            f"The subject holds the invisible character U+{ord(hidden[0]):04X}; type the subject anew without it."
        )
    return subject
