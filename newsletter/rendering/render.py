"""Rendering: an issue, a masthead and a theme become both parts of a mail, with placeholders. Pure.

content + masthead + words + theme ─► nonce ─► Jinja ─► MJML ─► rewrite ─► mrml ─► premailer ─► output checks
                                          └──► text part ────────────────────────────────────► output checks

`render_issue` is the entry point. It renders in this process, or in a child process with limits if the theme brings
templates that were not shipped. Plain values cross over as JSON, in both directions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from markupsafe import Markup
from pydantic import TypeAdapter

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent
from newsletter.content.links import web_link_problem
from newsletter.content.merge_fields import fallback_of, merge_fields_in, replace_merge_fields
from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.context import IssueView, MergesByPart, editor_links, view_issue, writing_direction
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.inline import inline_css
from newsletter.rendering.issue_head import issue_head, mail_link
from newsletter.rendering.limited_process import run_limited
from newsletter.rendering.output_checks import (
    REQUIRED_PLACEHOLDERS,
    check_output_html,
    check_output_text,
    placeholders_used,
)
from newsletter.rendering.placeholders import MergeFieldTokens, PlaceholderContext, placeholder_token
from newsletter.rendering.shapes import Masthead, RenderedIssue
from newsletter.rendering.templates import fill_template, sides, stylesheet, templates_hash, theme_context
from newsletter.rendering.theme import PLAIN, Theme
from newsletter.rendering.words import NAME, Words, with_theme_words, words_for

# Keeps mail programs from showing the masthead after a short preheader.
_FILLER = Markup("&#847;&#8204;&#160;") * 60

#: The list through which a recipient gets the mail, if they get it through different ones.
LIST_PLACEHOLDERS = frozenset({"list_name", "list_url"})

# What a mail header must not contain, or what changes the direction of text in a list of mails.
_NOT_IN_SUBJECT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRequest:
    """Everything that a rendering depends on, beside the shipped templates."""

    content: IssueContent
    masthead: Masthead
    web_url: str
    theme: Theme
    words: Words


_REQUEST = TypeAdapter(RenderRequest)
_RENDERED = TypeAdapter(RenderedIssue)


def render_issue(
    content: IssueContent, masthead: Masthead, *, web_url: str, theme: Theme = PLAIN, words: Words | None = None
) -> RenderedIssue:
    """Render an issue once for all recipients. `web_url` is the address of its web page.

    `words` default to those of the active language. The same input gives the same bytes. Raises RenderingError with a
    sentence for the editor. A theme with templates of its own may use 2 s of CPU time and 256 MB, in a child process.
    """
    request = RenderRequest(
        content=content, masthead=masthead, web_url=web_url, theme=theme, words=words or words_for(content)
    )
    if not theme.needs_limits:
        return render_in_process(request)
    return _RENDERED.validate_json(run_limited(render_request, as_json(request)))


def render_request(request: bytes) -> bytes:
    """The job of the child process: a RenderRequest as JSON in, a RenderedIssue as JSON out."""
    return as_json(render_in_process(_REQUEST.validate_json(request)))


def render_in_process(request: RenderRequest) -> RenderedIssue:
    """Render in this process without limits. Callers outside of this package use `render_issue`."""
    nonce = _nonce(request)
    _check_addresses(request.masthead, request.web_url)
    merges = MergeFieldTokens(nonce)
    issue = view_issue(request.content, MergesByPart(merges.html, merges.text), date=request.words.date)
    context = template_context(issue, request)
    html = _render_html(context, request.theme, nonce)
    text = _render_text(context, request.theme, nonce)
    placeholders = placeholders_used(html, text, nonce=nonce)
    subject = _checked_subject(request.content.subject or request.content.title)
    used = {*placeholders, *(merges.name(field) for field in merge_fields_in(subject))}
    return RenderedIssue(
        subject=subject,
        html=html,
        text=text,
        nonce=nonce,
        placeholders=placeholders,
        merges=tuple(merge for merge in merges.made if merge.placeholder in used),
        links=tuple(editor_links(issue)),
    )


def write_mjml(content: IssueContent, masthead: Masthead, *, web_url: str, theme: Theme = PLAIN) -> str:
    """The MJML that `render_issue` makes of an issue before it is compiled, for tests of templates."""
    words = words_for(content)
    request = RenderRequest(content=content, masthead=masthead, web_url=web_url, theme=theme, words=words)
    nonce = _nonce(request)
    issue = view_issue(content, MergesByPart(MergeFieldTokens(nonce).html, fallback_of), date=words.date)
    return _fill_mjml(template_context(issue, request), theme, nonce)


def template_context(issue: IssueView, request: RenderRequest) -> dict[str, object]:
    """What the templates of both parts may use, without placeholders: plain values, frozen dataclasses, safe HTML."""
    theme, masthead = request.theme, request.masthead
    words = with_theme_words(request.words, theme.words, request.content)
    direction = writing_direction(masthead.language)
    start, end = sides(direction)
    return {
        **theme_context(theme),
        **_links_to_answer(request),
        "words": replace(words, subscribe=words.subscribe.replace(NAME, masthead.name)),
        "issue": issue if issue.preheader else replace(issue, preheader=masthead.tagline),
        "head": issue_head(issue.title, masthead.name, request.content.date, words.date, words.day),
        "masthead": masthead,
        "names_list": masthead.names_list,
        "list_name": masthead.name,
        "list_url": masthead.site_url,
        "writer": masthead.writer or (masthead.sender_name if masthead.sender_name != masthead.name else ""),
        "postal_lines": _postal_lines(masthead),
        "direction": direction,
        "start": start,
        "end": end,
        "web_url": request.web_url,
        "filler": _FILLER,
        "head_css": Markup(stylesheet("head.css", theme, direction)),  # noqa: S704  # checked when the MJML is read
        "word_css": Markup(stylesheet("word.css", theme, direction)),  # noqa: S704  # only ours
    }


def _links_to_answer(request: RenderRequest) -> dict[str, str]:
    """Links that open a new mail: to the sender, and an empty one with the issue's public address.

    Recipients are never asked to use their program's own forward button: that copy has their unsubscribe link in it.
    """
    subject = replace_merge_fields(request.content.subject or request.content.title, fallback_of)
    reply_to = request.masthead.reply_to
    return {
        "reply_url": mail_link(reply_to, subject=f"Re: {subject}") if reply_to else "",
        "forward_url": mail_link(subject=subject, body=request.web_url),
    }


def as_json(value: object) -> bytes:
    """Our plain values as JSON. Raises RenderingError for text that is not valid Unicode."""
    try:
        return orjson.dumps(value, default=_path_as_text, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        sentence = translatable("The issue contains text that is not valid Unicode: {reason}.", reason=str(error))
        raise RenderingError(sentence) from error


def _path_as_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)


def _nonce(request: RenderRequest) -> str:
    """Twelve hexadecimal digits derived from everything that the rendering depends on; they appear nowhere in it."""
    theme = request.theme
    input_data = [request.content, request.masthead, request.web_url, request.words, theme.name, theme.sha256]
    canonical = as_json(input_data)
    nonce = hashlib.sha256(templates_hash() + canonical).hexdigest()[:12]
    if f"zq{nonce}".encode() in canonical:
        raise RenderingError(
            translatable("This issue contains its own placeholder marker. Change any word of the issue.")
        )
    return nonce


def _render_html(context: Mapping[str, object], theme: Theme, nonce: str) -> str:
    css = stylesheet("style.css", theme, str(context["direction"]))
    html = inline_css(compile_mjml(_fill_mjml(context, theme, nonce)), css)
    check_output_html(html, nonce)
    return html


def _fill_mjml(context: Mapping[str, object], theme: Theme, nonce: str) -> str:
    return fill_template("issue/issue.mjml", theme, {**context, **_tokens(nonce, PlaceholderContext.HTML, context)})


def _render_text(context: Mapping[str, object], theme: Theme, nonce: str) -> str:
    text = fill_template("issue/body.txt", theme, {**context, **_tokens(nonce, PlaceholderContext.PLAIN, context)})
    check_output_text(text, nonce)
    return text


def _tokens(nonce: str, part: PlaceholderContext, context: Mapping[str, object]) -> dict[str, str]:
    names = REQUIRED_PLACEHOLDERS | LIST_PLACEHOLDERS if context["names_list"] else REQUIRED_PLACEHOLDERS
    return {placeholder: placeholder_token(nonce, placeholder, part) for placeholder in names}


def _postal_lines(masthead: Masthead) -> tuple[str, ...]:
    """The sender and the postal address, line by line; empty without an address."""
    lines = masthead.postal_address.splitlines()
    is_another = masthead.sender_name and masthead.sender_name != masthead.name
    return (masthead.sender_name, *lines) if lines and is_another else tuple(lines)


def _check_addresses(masthead: Masthead, web_url: str) -> None:
    pictures = (masthead.logo_url, masthead.logo_dark_url, masthead.portrait_url)
    optional = (*pictures, masthead.subscribe_url, masthead.feed_url, *(url for _, url in masthead.links))
    for url in (masthead.site_url, masthead.archive_url, web_url, *filter(None, optional)):
        if problem := web_link_problem(url):
            raise RenderingError(
                translatable("The newsletter’s address “{url}” cannot be used. {problem}", url=url, problem=problem)
            )


def _checked_subject(subject: str) -> str:
    if hidden := _NOT_IN_SUBJECT.search(subject):
        code = f"U+{ord(hidden[0]):04X}"
        raise RenderingError(
            translatable("The subject contains the invisible character {character}. Delete it.", character=code)
        )
    return subject
