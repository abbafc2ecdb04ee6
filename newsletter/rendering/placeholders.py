"""Slots: the places of an issue that differ per reader, as tokens in finished bytes.

A token is made of ASCII letters, digits and `_`, so that no escaping, percent-encoding or JSON encoding on the
way changes it: `zq` + nonce (12 hex digits) + `x` + context letter + placeholder name + `xqz`. Templates are never run
a second time: bytes are split at tokens once, and each reader's values are escaped and joined in between (R-154).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Self

import orjson

from newsletter.rendering.errors import PlaceholderError

_SLOT_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)

Encoder = Callable[[str], bytes]


class PlaceholderContext(StrEnum):
    """Where a value lands, which decides how it is escaped. The value is the letter inside the token."""

    HTML = "h"
    PLAIN = "p"


def as_utf8(value: str) -> bytes:
    """The value as it stands: for bytes that are the part itself."""
    return value.encode()


def as_json_string(value: str) -> bytes:
    """The inside of a JSON string: for bytes that are an encoded JSON message."""
    return orjson.dumps(value)[1:-1]


def placeholder_token(nonce: str, placeholder: str, context: PlaceholderContext) -> str:
    """The token that stands for one placeholder until a reader's value takes its place."""
    if not _SLOT_NAME.fullmatch(placeholder) or "xqz" in placeholder:
        raise PlaceholderError(
            f"“{placeholder}” cannot name a placeholder: use small letters, digits and _, beginning with a letter."
        )
    return f"zq{nonce}x{context.value}{placeholder}xqz"


def token_pattern(nonce: str) -> str:
    """A regular expression for the tokens of one nonce; groups: context letter, placeholder name."""
    return rf"zq{nonce}x([hp])([a-z0-9_]+?)xqz"


@dataclass(frozen=True, slots=True)
class PlaceholderTemplate:
    """Finished bytes, split at their tokens. `fill` costs a few microseconds a reader at 60 KB."""

    parts: tuple[bytes, ...]
    """The fixed bytes: one more than there are tokens."""
    order: tuple[int, ...]
    """For each token in turn, the index of its field."""
    fields: tuple[tuple[str, Encoder], ...]
    """Each distinct (placeholder, encoder): a value is encoded once per reader however often it appears."""

    @classmethod
    def split(cls, encoded: bytes, nonce: str, *, outer: Encoder = as_utf8) -> Self:
        """Split at the tokens of `nonce`. `outer` is the encoding that `encoded` already has around its text."""
        pieces = re.split(token_pattern(nonce).encode(), encoded)
        names = list(zip(pieces[1::3], pieces[2::3], strict=True))
        distinct = list(dict.fromkeys(names))
        fields = tuple(
            (placeholder.decode(), _encoder(PlaceholderContext(letter.decode()), outer))
            for letter, placeholder in distinct
        )
        return cls(tuple(pieces[0::3]), tuple(distinct.index(name) for name in names), fields)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of the placeholders that `fill` needs, sorted."""
        return tuple(sorted({placeholder for placeholder, _ in self.fields}))

    def fill(self, values: Mapping[str, str]) -> bytes:
        """One reader's bytes. A placeholder without a value, or a value that is not valid Unicode, raises PlaceholderError."""
        try:
            encoded = [encode(values[placeholder]) for placeholder, encode in self.fields]
        except KeyError as error:
            raise PlaceholderError(
                f"This reader has no value for the placeholder {error}; nothing was filled."
            ) from error
        except (UnicodeEncodeError, orjson.JSONEncodeError) as error:
            raise PlaceholderError(f"A value of this reader is not valid Unicode text: {error}.") from error
        pieces: list[bytes] = [b""] * (2 * len(self.parts) - 1)
        pieces[0::2] = self.parts
        pieces[1::2] = [encoded[index] for index in self.order]
        return b"".join(pieces)


def _encoder(context: PlaceholderContext, outer: Encoder) -> Encoder:
    if context is PlaceholderContext.PLAIN:
        return outer
    return lambda value: outer(escape(value))
