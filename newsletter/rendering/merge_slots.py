"""Merge fields become slots: one for each field and fallback, under names of their own. Imports slots and shapes."""

from __future__ import annotations

from newsletter.content.merge_fields import MergeField
from newsletter.rendering.shapes import Merge
from newsletter.rendering.slots import SlotContext, slot_token


class MergeSlots:
    """The slots `m1`, `m2`… of one issue, numbered as its fields are met; both parts share them."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._slots: dict[MergeField, str] = {}

    def html(self, field: MergeField) -> str:
        """What stands for the field in the HTML part."""
        return self._token(field, SlotContext.HTML)

    def text(self, field: MergeField) -> str:
        """What stands for the field in the text part."""
        return self._token(field, SlotContext.PLAIN)

    @property
    def made(self) -> tuple[Merge, ...]:
        """Each slot with the field that fills it."""
        return tuple(Merge(slot, field.name, field.fallback) for field, slot in self._slots.items())

    def _token(self, field: MergeField, context: SlotContext) -> str:
        return slot_token(self._nonce, self._slots.setdefault(field, f"m{len(self._slots) + 1}"), context)
