"""Placeholders: the parts of a rendered mail that are filled per recipient, as tokens in finished bytes.

A token consists of ASCII letters, digits and `_`, so that no escaping, percent-encoding or JSON encoding changes it:
`zq` + nonce (12 hex digits) + `x` + context letter + placeholder name + `xqz`. Templates are never run per recipient:
bytes are split at the tokens once, and each recipient's values are escaped and joined in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Self

import orjson

from newsletter.config.translatable import translatable
from newsletter.content.merge_fields import MergeField
from newsletter.rendering.errors import PlaceholderError
from newsletter.rendering.shapes import MergePlaceholder

_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)

MAX_IN_SUBJECT = 100
"""Characters of a value in a subject: inboxes show fewer, and an imported value may have any length."""

# Control characters, which could end a header, and those that hide or turn the text around them.
_NOT_IN_SUBJECT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]+"
)

Encoder = Callable[[str], bytes]


class PlaceholderContext(StrEnum):
    """Where a value is inserted, which decides its escaping. Its value is the letter in the token."""

    HTML = "h"
    PLAIN = "p"
    SUBJECT = "s"
    """A header: on one line, without invisible characters, and not longer than MAX_IN_SUBJECT."""


def as_utf8(value: str) -> bytes:
    """The value as UTF-8, for bytes that are the part itself."""
    return value.encode()


def as_json_string(value: str) -> bytes:
    """The value as the inside of a JSON string, for bytes that are an encoded JSON message."""
    return orjson.dumps(value)[1:-1]


def placeholder_token(nonce: str, placeholder: str, context: PlaceholderContext) -> str:
    """The token of one placeholder."""
    if not _NAME.fullmatch(placeholder) or "xqz" in placeholder:
        raise PlaceholderError(
            translatable(
                "“{name}” cannot be the name of a placeholder. Use lower-case letters, digits and _, starting with a "
                "letter.",
                name=placeholder,
            )
        )
    return f"zq{nonce}x{context.value}{placeholder}xqz"


def token_pattern(nonce: str) -> str:
    """A regular expression for the tokens of one nonce, with the groups context letter and placeholder name."""
    return rf"zq{nonce}x([hps])([a-z0-9_]+?)xqz"


@dataclass(frozen=True, slots=True)
class PlaceholderTemplate:
    """Finished bytes, split at their tokens. `fill` takes a few microseconds per recipient at 60 KB."""

    parts: tuple[bytes, ...]
    """The fixed bytes: one part more than there are tokens."""
    order: tuple[int, ...]
    """For each token, the index of its field."""
    fields: tuple[tuple[str, Encoder], ...]
    """Each distinct (placeholder, encoder): a value is encoded once per recipient, however often it appears."""

    @classmethod
    def split(cls, encoded: bytes, nonce: str, *, outer: Encoder = as_utf8) -> Self:
        """Split at the tokens of `nonce`. `outer` is the encoding that `encoded` already has around its text."""
        return cls.split_parts([(encoded, outer)], nonce)

    @classmethod
    def split_parts(cls, encoded_parts: Iterable[tuple[bytes, Encoder]], nonce: str) -> Self:
        """The same for bytes whose parts are encoded differently."""
        parts, names = [b""], []
        for encoded, outer in encoded_parts:
            pieces = re.split(token_pattern(nonce).encode(), encoded)
            parts[-1] += pieces[0]
            parts += pieces[3::3]
            names += [(letter, name, outer) for letter, name in zip(pieces[1::3], pieces[2::3], strict=True)]
        distinct = list(dict.fromkeys(names))
        fields = tuple(
            (placeholder.decode(), _encoder(PlaceholderContext(letter.decode()), outer))
            for letter, placeholder, outer in distinct
        )
        return cls(tuple(parts), tuple(distinct.index(name) for name in names), fields)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of the placeholders that `fill` needs, sorted."""
        return tuple(sorted({placeholder for placeholder, _ in self.fields}))

    def fill(self, values: Mapping[str, str]) -> bytes:
        """One recipient's bytes. Raises PlaceholderError for a missing value, or one that is not valid Unicode."""
        return b"".join(self.pieces(values))

    def pieces(self, values: Mapping[str, str]) -> list[bytes]:
        """The same in pieces, of which a larger whole can be joined without copying each recipient's bytes twice."""
        try:
            encoded = [encode(values[placeholder]) for placeholder, encode in self.fields]
        except KeyError as error:
            raise PlaceholderError(
                translatable("The recipient has no value for the placeholder {name}.", name=str(error))
            ) from error
        except (UnicodeEncodeError, orjson.JSONEncodeError) as error:
            sentence = translatable("A value of the recipient is not valid Unicode: {reason}.", reason=str(error))
            raise PlaceholderError(sentence) from error
        pieces: list[bytes] = [b""] * (2 * len(self.parts) - 1)
        pieces[0::2] = self.parts
        pieces[1::2] = [encoded[index] for index in self.order]
        return pieces


def _encoder(context: PlaceholderContext, outer: Encoder) -> Encoder:
    if context is PlaceholderContext.PLAIN:
        return outer
    if context is PlaceholderContext.SUBJECT:
        return lambda value: outer(in_subject(value))
    return lambda value: outer(escape(value))


def in_subject(value: str) -> str:
    """A value of a recipient as it may stand in a header: on one line, visible, of limited length."""
    return " ".join(_NOT_IN_SUBJECT.sub(" ", value).split())[:MAX_IN_SUBJECT].rstrip()


class MergeFieldTokens:
    """Assigns the placeholders `m1`, `m2`… to the merge fields of one issue; both parts share them."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._names: dict[MergeField, str] = {}

    def html(self, field: MergeField) -> str:
        """The token of the field in the HTML part."""
        return self._token(field, PlaceholderContext.HTML)

    def text(self, field: MergeField) -> str:
        """The token of the field in the text part."""
        return self._token(field, PlaceholderContext.PLAIN)

    def name(self, field: MergeField) -> str:
        """The placeholder of the field, for the subject, whose tokens are written when it is sent."""
        return self._names.setdefault(field, f"m{len(self._names) + 1}")

    @property
    def made(self) -> tuple[MergePlaceholder, ...]:
        """Each placeholder with its merge field."""
        return tuple(MergePlaceholder(name, field.name, field.fallback) for field, name in self._names.items())

    def _token(self, field: MergeField, context: PlaceholderContext) -> str:
        return placeholder_token(self._nonce, self.name(field), context)
