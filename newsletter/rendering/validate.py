"""Validation of MJML sources and block templates: finds every fault at once, with its line.

A parser stops at the first syntax error. To find the errors after it, the place is repaired in a copy, without moving
a line, and the copy is parsed again. The copy is never rendered.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from newsletter.config.translatable import translatable
from newsletter.rendering.errors import MjmlFault, RenderingError
from newsletter.rendering.mjml_rules import FRAGMENT, PLACEHOLDER
from newsletter.rendering.source import SyntaxFault, encode_mjml, parse_mjml

MAX_REPAIRS = 50

_JINJA = re.compile(r"\{%.*?%\}|\{#.*?#\}|\{\{.*?\}\}", re.DOTALL)
_END_TAG = re.compile(rb"</\s*([^\s>]*)[^>]*>")
_NAME = re.compile(rb"[^\s<>&;=\"'/]*")
_ATTRIBUTE = re.compile(rb"[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_UNQUOTED = re.compile(rb"[^\s>\"'=]+")

_CODES = expat.errors.codes
_TAG_MISMATCH = _CODES[expat.errors.XML_ERROR_TAG_MISMATCH]
_NO_ELEMENTS = _CODES[expat.errors.XML_ERROR_NO_ELEMENTS]
_UNDEFINED_ENTITY = _CODES[expat.errors.XML_ERROR_UNDEFINED_ENTITY]
_DUPLICATE_ATTRIBUTE = _CODES[expat.errors.XML_ERROR_DUPLICATE_ATTRIBUTE]
_INVALID_TOKEN = _CODES[expat.errors.XML_ERROR_INVALID_TOKEN]
_JUNK_AFTER_END = _CODES[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]

Repair = tuple[MjmlFault, bytes | None]
"""A fault, and the source without it; None if it cannot be repaired."""


def validate_mjml(source: str) -> tuple[MjmlFault, ...]:
    """All faults of an MJML document, in order of lines; empty if mrml renders it as MJML defines."""
    return _faults_of(source, "mjml")


def validate_template(source: str) -> tuple[MjmlFault, ...]:
    """All faults of a block template, with its own line numbers. Values that Jinja writes are not checked.

    Without its Jinja, a template must be well-formed XML: an `{% if %}` may contain whole elements or attributes, not
    the start of one element and the end of another.
    """
    bare = _JINJA.sub(_without_jinja, source)
    is_document = bare.lstrip().startswith("<mjml")
    return _faults_of(bare, "mjml") if is_document else _faults_of(f"<{FRAGMENT}>{bare}</{FRAGMENT}>", FRAGMENT)


def _without_jinja(match: re.Match[str]) -> str:
    lines = "\n" * match[0].count("\n")
    return PLACEHOLDER + lines if match[0].startswith("{{") else lines


def _faults_of(source: str, root: str) -> tuple[MjmlFault, ...]:
    try:
        return _parse_to_the_end(encode_mjml(source), root)
    except RenderingError as error:
        return error.faults or (MjmlFault(error.line or 1, error.message),)


def _parse_to_the_end(encoded: bytes, root: str) -> tuple[MjmlFault, ...]:
    repaired: list[MjmlFault] = []
    parsed = parse_mjml(encoded, root=root)
    while parsed.syntax and len(repaired) < MAX_REPAIRS:
        fault, better = _repair(encoded, parsed.syntax)
        repaired.append(fault)
        if better is None:
            break
        encoded, parsed = better, parse_mjml(better, root=root)
    return tuple(sorted({*repaired, *parsed.faults}))


def _repair(encoded: bytes, fault: SyntaxFault) -> Repair:
    line = fault.line
    if fault.code == _TAG_MISMATCH:
        return _repair_end_tag(encoded, fault)
    if fault.code == _NO_ELEMENTS:
        return _repair_end(encoded, fault)
    if fault.code == _UNDEFINED_ENTITY:
        name = _name_at(encoded, fault.offset + 1)
        sentence = translatable("&{name}; is not a known entity. Write &amp; for the character &.", name=name)
        return MjmlFault(line, sentence), _replaced(encoded, fault.offset, b"&", b"&amp;")
    if fault.code == _DUPLICATE_ATTRIBUTE:
        return _repair_duplicate(encoded, fault)
    if fault.code == _INVALID_TOKEN:
        return _repair_token(encoded, fault)
    if fault.code == _JUNK_AFTER_END:
        return MjmlFault(line, translatable("There is content after the end of the document.")), None
    return MjmlFault(line, translatable("The MJML is not well-formed: {reason}.", reason=fault.reason)), None


def _repair_end_tag(encoded: bytes, fault: SyntaxFault) -> Repair:
    """An end tag that does not match the innermost open element: one is not closed, or one is closed twice."""
    start = fault.offset - 2
    found = _END_TAG.match(encoded, start)
    if found is None:
        return MjmlFault(fault.line, translatable("An end tag is incomplete.")), None
    name, (inner, line) = found[1].decode(), fault.open_tags[-1]
    if name in (tag for tag, _ in fault.open_tags):
        closed = encoded[:start] + f"</{inner}>".encode() + encoded[start:]
        return MjmlFault(line, _not_closed_before(inner, name, fault.line)), closed
    if _closes_outer(encoded, found.end(), fault.open_tags):
        sentence = translatable("<{tag}> of line {line} is closed by </{end}>.", tag=inner, line=line, end=name)
        closed = encoded[:start] + f"</{inner}>".encode() + encoded[found.end() :]
        return MjmlFault(fault.line, sentence), closed
    sentence = translatable("</{tag}> closes no open element.", tag=name)
    return MjmlFault(fault.line, sentence), _blanked(encoded, start, found.end())


def _closes_outer(encoded: bytes, position: int, open_tags: tuple[tuple[str, int], ...]) -> bool:
    """Whether the next tag closes the second innermost element: then the tag before it meant the innermost one."""
    tag = encoded.find(b"<", position)
    following = _END_TAG.match(encoded, tag) if tag >= 0 else None
    return following is not None and len(open_tags) > 1 and following[1].decode() == open_tags[-2][0]


def _repair_end(encoded: bytes, fault: SyntaxFault) -> Repair:
    if not fault.open_tags:
        return MjmlFault(1, translatable("There is no <mjml> element.")), None
    inner, line = fault.open_tags[-1]
    if _is_void(inner):
        sentence = translatable("<{tag}> is never closed. Write <{tag} />.", tag=inner)
    else:
        sentence = translatable("<{tag}> is never closed.", tag=inner)
    return MjmlFault(line, sentence), encoded + f"</{inner}>".encode()


def _repair_duplicate(encoded: bytes, fault: SyntaxFault) -> Repair:
    name = _name_at(encoded, fault.offset)
    found = _ATTRIBUTE.match(encoded, fault.offset)
    sentence = translatable("The attribute {attribute} is set twice. Remove one of the two.", attribute=name)
    return MjmlFault(fault.line, sentence), found and _blanked(encoded, fault.offset, found.end())


def _repair_token(encoded: bytes, fault: SyntaxFault) -> Repair:
    """A character that is not allowed where it is; expat stops at it, or after a `<` or `&`."""
    at, line = fault.offset, fault.line
    if encoded[at - 3 : at] == b"<![":
        sentence = translatable("<![if …]> is not supported. Write <!--[if …]><!--> and <!--<![endif]-->.")
        return MjmlFault(line, sentence), _replaced(encoded, at - 3, b"<", b"&lt;")
    if encoded[at : at + 1] == b"<":
        return _repair_less_than(encoded, fault)
    if encoded[at - 1 : at] == b"<":
        sentence = translatable("Write &lt; for the character <.")
        return MjmlFault(line, sentence), _replaced(encoded, at - 1, b"<", b"&lt;")
    if encoded[at - 1 : at] == b"&":
        sentence = translatable("Write &amp; for the character &.")
        return MjmlFault(line, sentence), _replaced(encoded, at - 1, b"&", b"&amp;")
    if encoded[at : at + 1] < b" ":
        code = f"U+{encoded[at]:04X}"
        sentence = translatable("The MJML contains the invisible character {character}. Delete it.", character=code)
        return MjmlFault(line, sentence), _blanked(encoded, at, at + 1)
    if encoded[at - 2 : at] == b"--":
        sentence = translatable("A comment contains --. Write one hyphen or a dash.")
        return MjmlFault(line, sentence), _blanked(encoded, at - 2, at)
    unquoted = _UNQUOTED.match(encoded, at) if encoded[:at].rstrip().endswith(b"=") else None
    if unquoted:
        value = unquoted[0].decode(errors="replace")
        sentence = translatable("The value {value} needs quotes around it.", value=value)
        return MjmlFault(line, sentence), encoded[:at] + b'"' + unquoted[0] + b'"' + encoded[unquoted.end() :]
    return MjmlFault(line, translatable("The MJML is not well-formed: a character is not allowed here.")), None


def _repair_less_than(encoded: bytes, fault: SyntaxFault) -> Repair:
    """A `<` within a tag: in an attribute, or because the tag has no end."""
    at, line = fault.offset, fault.line
    tag = encoded[encoded.rfind(b"<", 0, at) : at]
    if tag.count(b'"') % 2 == tag.count(b"'") % 2 == 0:
        shown = tag.decode(errors="replace").strip()[:40]
        return MjmlFault(line, translatable("The tag {tag} does not end with >.", tag=shown)), None
    sentence = translatable("An attribute contains <. Write &lt;.")
    return MjmlFault(line, sentence), _replaced(encoded, at, b"<", b"&lt;")


def _not_closed_before(tag: str, end: str, line: int) -> str:
    if _is_void(tag):
        return translatable(
            "<{tag}> is not closed before </{end}> in line {line}. Write <{tag} />.", tag=tag, end=end, line=line
        )
    return translatable("<{tag}> is not closed before </{end}> in line {line}.", tag=tag, end=end, line=line)


def _is_void(tag: str) -> bool:
    return tag.lower() in ("br", "hr", "img", "wbr", "meta", "link", "col")


def _name_at(encoded: bytes, position: int) -> str:
    found = _NAME.match(encoded, position)
    return found[0].decode(errors="replace") if found else ""


def _replaced(encoded: bytes, position: int, old: bytes, new: bytes) -> bytes:
    return encoded[:position] + new + encoded[position + len(old) :]


def _blanked(encoded: bytes, start: int, end: int) -> bytes:
    """`encoded` with spaces from `start` to `end`, line ends kept."""
    return encoded[:start] + re.sub(rb"[^\n]", b" ", encoded[start:end]) + encoded[end:]
