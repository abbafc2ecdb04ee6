"""Every fault of an MJML source or block template at once, with lines.

A parser stops at the first thing that is not XML. To find what comes after, the place is mended - in a copy that is
never rendered, without moving a line - and the copy is read again.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from newsletter.rendering.errors import MjmlFault, RenderingError
from newsletter.rendering.mjml_rules import FRAGMENT, PLACEHOLDER
from newsletter.rendering.source import SyntaxFault, encode_mjml, read_mjml

MAX_MENDINGS = 50

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

Mending = tuple[MjmlFault, bytes | None]
"""What is wrong, and the source without it; None where nobody can tell what was meant."""


def validate_mjml(source: str) -> tuple[MjmlFault, ...]:
    """All faults of an MJML document, in order of lines; empty when mrml renders it as MJML means it."""
    return _faults_of(source, "mjml")


def validate_template(source: str) -> tuple[MjmlFault, ...]:
    """All faults of a block template, with its own lines; its Jinja is set aside, values that Jinja writes pass.

    A block must be well-formed XML when its Jinja is taken away: an `{% if %}` may hold whole elements or
    attributes, not the opening of one element and the end of another.
    """
    bare = _JINJA.sub(_without_jinja, source)
    is_document = bare.lstrip().startswith("<mjml")
    return _faults_of(bare, "mjml") if is_document else _faults_of(f"<{FRAGMENT}>{bare}</{FRAGMENT}>", FRAGMENT)


def _without_jinja(match: re.Match[str]) -> str:
    lines = "\n" * match[0].count("\n")
    return PLACEHOLDER + lines if match[0].startswith("{{") else lines


def _faults_of(source: str, root: str) -> tuple[MjmlFault, ...]:
    try:
        return _read_to_the_end(encode_mjml(source), root)
    except RenderingError as error:
        return error.faults or (MjmlFault(error.line or 1, str(error)),)


def _read_to_the_end(encoded: bytes, root: str) -> tuple[MjmlFault, ...]:
    mended: list[MjmlFault] = []
    reading = read_mjml(encoded, root=root)
    while reading.syntax and len(mended) < MAX_MENDINGS:
        fault, better = _mend(encoded, reading.syntax)
        mended.append(fault)
        if better is None:
            break
        encoded, reading = better, read_mjml(better, root=root)
    return tuple(sorted({*mended, *reading.faults}))


def _mend(encoded: bytes, fault: SyntaxFault) -> Mending:
    if fault.code == _TAG_MISMATCH:
        return _mend_end_tag(encoded, fault)
    if fault.code == _NO_ELEMENTS:
        return _mend_end(encoded, fault)
    if fault.code == _UNDEFINED_ENTITY:
        name = _name_at(encoded, fault.offset + 1)
        sentence = f"&{name}; is the name of no character; write &amp; for the sign & itself"
        return MjmlFault(fault.line, sentence), _replaced(encoded, fault.offset, b"&", b"&amp;")
    if fault.code == _DUPLICATE_ATTRIBUTE:
        return _mend_duplicate(encoded, fault)
    if fault.code == _INVALID_TOKEN:
        return _mend_token(encoded, fault)
    if fault.code == _JUNK_AFTER_END:
        return MjmlFault(fault.line, "something follows the end of the document"), None
    return MjmlFault(fault.line, f"it is not well-formed from here on: {fault.reason}"), None


def _mend_end_tag(encoded: bytes, fault: SyntaxFault) -> Mending:
    """An end tag that is not that of the innermost open element: something is not closed, or closed twice."""
    start = fault.offset - 2
    found = _END_TAG.match(encoded, start)
    if found is None:
        return MjmlFault(fault.line, "an end tag is cut off"), None
    name, (inner, line) = found[1].decode(), fault.open_tags[-1]
    if name in (tag for tag, _ in fault.open_tags):
        sentence = f"<{inner}> is not closed before </{name}> in line {fault.line}{_advice(inner)}"
        return MjmlFault(line, sentence), encoded[:start] + f"</{inner}>".encode() + encoded[start:]
    if _closes_outer(encoded, found.end(), fault.open_tags):
        sentence = f"<{inner}> of line {line} is closed by </{name}>"
        return MjmlFault(fault.line, sentence), encoded[:start] + f"</{inner}>".encode() + encoded[found.end() :]
    return MjmlFault(fault.line, f"</{name}> closes nothing that is open"), _blanked(encoded, start, found.end())


def _closes_outer(encoded: bytes, position: int, open_tags: tuple[tuple[str, int], ...]) -> bool:
    """Whether the next tag is the end of the second innermost element: then the one before meant the innermost."""
    tag = encoded.find(b"<", position)
    following = _END_TAG.match(encoded, tag) if tag >= 0 else None
    return following is not None and len(open_tags) > 1 and following[1].decode() == open_tags[-2][0]


def _mend_end(encoded: bytes, fault: SyntaxFault) -> Mending:
    if not fault.open_tags:
        return MjmlFault(1, "there is no <mjml> element"), None
    inner, line = fault.open_tags[-1]
    return MjmlFault(line, f"<{inner}> is never closed{_advice(inner)}"), encoded + f"</{inner}>".encode()


def _mend_duplicate(encoded: bytes, fault: SyntaxFault) -> Mending:
    name = _name_at(encoded, fault.offset)
    line = fault.line
    found = _ATTRIBUTE.match(encoded, fault.offset)
    sentence = f"the attribute {name} is given twice; MJML would take one value and other programs the other"
    return MjmlFault(line, sentence), found and _blanked(encoded, fault.offset, found.end())


def _mend_token(encoded: bytes, fault: SyntaxFault) -> Mending:
    """A character that cannot stand where it stands; expat stops at it, or behind a `<` or `&`."""
    at, line = fault.offset, fault.line
    if encoded[at - 3 : at] == b"<![":
        sentence = "<![if …]> cannot be written in MJML; write <!--[if …]><!--> and <!--<![endif]-->"
        return MjmlFault(line, sentence), _replaced(encoded, at - 3, b"<", b"&lt;")
    if encoded[at : at + 1] == b"<":
        tag = encoded[encoded.rfind(b"<", 0, at) : at]
        if tag.count(b'"') % 2 == tag.count(b"'") % 2 == 0:
            return MjmlFault(line, f"the tag {tag.decode(errors='replace').strip()[:40]} is not ended with >"), None
        return MjmlFault(line, "an attribute holds <; write &lt;"), _replaced(encoded, at, b"<", b"&lt;")
    if encoded[at - 1 : at] == b"<":
        return MjmlFault(line, "a < stands for itself; write &lt;"), _replaced(encoded, at - 1, b"<", b"&lt;")
    if encoded[at - 1 : at] == b"&":
        return MjmlFault(line, "an & stands for itself; write &amp;"), _replaced(encoded, at - 1, b"&", b"&amp;")
    if encoded[at : at + 1] < b" ":
        sentence = f"it holds the invisible character U+{encoded[at]:04X}; leave it out"
        return MjmlFault(line, sentence), _blanked(encoded, at, at + 1)
    if encoded[at - 2 : at] == b"--":
        sentence = "a comment holds --; write one hyphen or a dash"
        return MjmlFault(line, sentence), _blanked(encoded, at - 2, at)
    unquoted = _UNQUOTED.match(encoded, at) if encoded[:at].rstrip().endswith(b"=") else None
    if unquoted:
        sentence = f"the value {unquoted[0].decode(errors='replace')} needs quotes around it"
        return MjmlFault(line, sentence), encoded[:at] + b'"' + unquoted[0] + b'"' + encoded[unquoted.end() :]
    return MjmlFault(line, "it is not well-formed from here on: a character stands where none may"), None


def _advice(tag: str) -> str:
    return f"; write <{tag} />" if tag.lower() in ("br", "hr", "img", "wbr", "meta", "link", "col") else ""


def _name_at(encoded: bytes, position: int) -> str:
    found = _NAME.match(encoded, position)
    return found[0].decode(errors="replace") if found else ""


def _replaced(encoded: bytes, position: int, old: bytes, new: bytes) -> bytes:
    return encoded[:position] + new + encoded[position + len(old) :]


def _blanked(encoded: bytes, start: int, end: int) -> bytes:
    """The same with spaces for what is taken out, line ends kept."""
    return encoded[:start] + re.sub(rb"[^\n]", b" ", encoded[start:end]) + encoded[end:]
