"""The pipeline: issue, masthead and theme in, both parts with placeholders out. Pure: no database, network or clock.

content + masthead + theme ─► nonce ─► Jinja ─► MJML ─► rewrite ─► mrml ─► premailer ─► proof
                                 └────► text part ───────────────────────────► proof
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import orjson
from markupsafe import Markup

from newsletter.content.document import IssueContent
from newsletter.content.links import web_link_problem
from newsletter.content.merge_fields import fallback_of
from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.context import IssueView, MergesByPart, editor_links, view_issue, writing_direction
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.inline import inline_css
from newsletter.rendering.merge_placeholders import MergePlaceholders
from newsletter.rendering.output_checks import (
    REQUIRED_PLACEHOLDERS,
    check_output_html,
    check_output_text,
    placeholders_used,
)
from newsletter.rendering.placeholders import PlaceholderContext, placeholder_token
from newsletter.rendering.shapes import Masthead, RenderedIssue
from newsletter.rendering.templates import fill_template, stylesheet, templates_digest, theme_context
from newsletter.rendering.theme import PLAIN, Theme

# Keeps mail programs from showing the masthead behind a short preheader.
_FILLER = Markup("&#847;&#8204;&#160;") * 60

# What a mail header cannot carry, or what turns words around in a list of mails.
_NOT_IN_SUBJECT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def render_here(content: IssueContent, masthead: Masthead, *, web_url: str, theme: Theme) -> RenderedIssue:
    """Both parts, in this process, whoever wrote the theme; see `render.render_issue`."""
    nonce = _nonce(content, masthead, web_url, theme)
    _check_addresses(masthead, web_url)
    merges = MergePlaceholders(nonce)
    issue = view_issue(content, MergesByPart(merges.html, merges.text))
    context = template_context(issue, masthead, web_url, theme)
    html = _render_html(context, theme, nonce)
    text = _render_text(context, theme, nonce)
    placeholders = placeholders_used(html, text, nonce=nonce)
    return RenderedIssue(
        subject=_checked_subject(content.subject or content.title),
        html=html,
        text=text,
        nonce=nonce,
        placeholders=placeholders,
        merges=tuple(merge for merge in merges.made if merge.placeholder in placeholders),
        links=tuple(editor_links(issue)),
    )


def mjml_of(content: IssueContent, masthead: Masthead, *, web_url: str, theme: Theme = PLAIN) -> str:
    """The MJML that `render_here` makes of an issue, before it is compiled: for checks of templates."""
    nonce = _nonce(content, masthead, web_url, theme)
    issue = view_issue(content, MergesByPart(MergePlaceholders(nonce).html, fallback_of))
    return _write_mjml(template_context(issue, masthead, web_url, theme), theme, nonce)


def _nonce(content: IssueContent, masthead: Masthead, web_url: str, theme: Theme) -> str:
    """Twelve hex digits that follow from everything the rendering depends on, and stand nowhere in it."""
    canonical = _canonical_bytes(content, masthead, web_url, theme)
    nonce = hashlib.sha256(templates_digest() + canonical).hexdigest()[:12]
    if f"zq{nonce}".encode() in canonical:
        raise RenderingError(
            "This issue contains its own placeholder marker, which is no accident. Change any word of it."
        )
    return nonce


def _render_html(context: Mapping[str, object], theme: Theme, nonce: str) -> str:
    css = stylesheet("style.css", theme, str(context["direction"]))
    html = inline_css(compile_mjml(_write_mjml(context, theme, nonce)), css)
    check_output_html(html, nonce)
    return html


def _write_mjml(context: Mapping[str, object], theme: Theme, nonce: str) -> str:
    return fill_template("issue/issue.mjml", theme, {**context, **_tokens(nonce, PlaceholderContext.HTML)})


def _render_text(context: Mapping[str, object], theme: Theme, nonce: str) -> str:
    text = fill_template("issue/body.txt", theme, {**context, **_tokens(nonce, PlaceholderContext.PLAIN)})
    check_output_text(text, nonce)
    return text


def _tokens(nonce: str, context: PlaceholderContext) -> dict[str, str]:
    return {placeholder: placeholder_token(nonce, placeholder, context) for placeholder in REQUIRED_PLACEHOLDERS}


def template_context(issue: IssueView, masthead: Masthead, web_url: str, theme: Theme) -> dict[str, object]:
    """What the templates of both parts may use, but for the placeholders: plain values, frozen dataclasses and safe HTML."""
    direction = writing_direction(masthead.language)
    return {
        **theme_context(theme),
        "issue": issue,
        "masthead": masthead,
        "postal_lines": postal_lines(masthead),
        "direction": direction,
        "start": "right" if direction == "rtl" else "left",
        "web_url": web_url,
        "filler": _FILLER,
        "head_css": Markup(stylesheet("head.css", theme, direction)),  # noqa: S704  # checked when the MJML is read
    }


def postal_lines(masthead: Masthead) -> tuple[str, ...]:
    """Who sends and where they are, line by line; nothing without an address (R-14)."""
    lines = masthead.postal_address.splitlines()
    is_another = masthead.sender_name and masthead.sender_name != masthead.name
    return (masthead.sender_name, *lines) if lines and is_another else tuple(lines)


def _canonical_bytes(content: IssueContent, masthead: Masthead, web_url: str, theme: Theme) -> bytes:
    """Everything the rendering depends on beside the shipped templates, as bytes the same on every machine."""
    try:
        return orjson.dumps([content, masthead, web_url, theme.name, theme.sha256], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise RenderingError(f"The issue holds text that is not valid Unicode: {error}.") from error


def _check_addresses(masthead: Masthead, web_url: str) -> None:
    logo = (masthead.logo_url,) if masthead.logo_url else ()
    for url in (masthead.site_url, masthead.archive_url, web_url, *logo):
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
