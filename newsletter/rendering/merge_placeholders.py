"""MergePlaceholder fields become placeholders: one for each field and fallback, under names of their own."""

from __future__ import annotations

from newsletter.content.merge_fields import MergeField
from newsletter.rendering.placeholders import PlaceholderContext, placeholder_token
from newsletter.rendering.shapes import MergePlaceholder


class MergePlaceholders:
    """The placeholders `m1`, `m2`… of one issue, numbered as its fields are met; both parts share them."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._slots: dict[MergeField, str] = {}

    def html(self, field: MergeField) -> str:
        """What stands for the field in the HTML part."""
        return self._token(field, PlaceholderContext.HTML)

    def text(self, field: MergeField) -> str:
        """What stands for the field in the text part."""
        return self._token(field, PlaceholderContext.PLAIN)

    @property
    def made(self) -> tuple[MergePlaceholder, ...]:
        """Each placeholder with the field that fills it."""
        return tuple(MergePlaceholder(placeholder, field.name, field.fallback) for field, placeholder in self._slots.items())

    def _token(self, field: MergeField, context: PlaceholderContext) -> str:
        return placeholder_token(self._nonce, self._slots.setdefault(field, f"m{len(self._slots) + 1}"), context)
