"""Rows of `subscribers/preference_fields.html`."""

from __future__ import annotations

from dataclasses import dataclass

from django.forms import BoundField


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A custom field of a form."""

    field: BoundField
    stored: str = ""
    """Its masked value, which the field itself does not show."""
    delete_name: str = ""
    """The name of the check box that deletes that value."""
