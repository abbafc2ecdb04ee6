"""What a column of a file can become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from subscribers.models import FieldKind


class TargetKind(TextChoices):
    """The kinds of targets."""

    ADDRESS = "address", _("Email address")
    FULL_NAME = "full_name", _("Full name")
    FIRST_NAME = "first_name", _("First name")
    LAST_NAME = "last_name", _("Last name")
    TAGS = "tags", _("Tags")
    STATE = "state", _("State")
    JOINED_AT = "joined_at", _("Signed up at")
    CONFIRMED_AT = "confirmed_at", _("Confirmed at")
    ENDED_AT = "ended_at", _("Unsubscribed at")
    EVIDENCE = "evidence", _("Consent evidence")
    TIME_ZONE = "time_zone", _("Time zone")
    LANGUAGE = "language", _("Language")
    NOTE = "note", _("Note")
    FREQUENCY = "frequency", _("Frequency")
    PAUSED_UNTIL = "paused_until", _("Paused until")
    TOPICS_OFF = "topics_off", _("Topics that are turned off")
    FIELD = "field", _("Custom field")
    NEW_FIELD = "new_field", _("New custom field")
    ATTRIBUTES = "attributes", _("Several custom fields (JSON)")
    IGNORE = "ignore", _("Do not import")


@dataclass(frozen=True, slots=True)
class Target:
    """What one column becomes."""

    kind: TargetKind
    key: str = ""
    """The key of the custom field, for FIELD and NEW_FIELD."""
    label: str = ""
    """The label of a new field. In `attributes`, the name in the JSON object."""
    field_kind: FieldKind | None = None
    """The type of the custom field. Values of dates are made ISO dates only if it is given."""
    attributes: tuple[Target, ...] = ()
    """For ATTRIBUTES: a FIELD, NEW_FIELD or IGNORE for each name in the JSON objects."""

    def to_json(self) -> dict[str, Any]:
        """As values that the json module can write."""
        values: dict[str, Any] = {"kind": self.kind.value}
        if self.key:
            values["key"] = self.key
        if self.label:
            values["label"] = self.label
        if self.field_kind:
            values["field_kind"] = self.field_kind.value
        if self.attributes:
            values["attributes"] = [target.to_json() for target in self.attributes]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The target of `to_json`. Raises ValueError for what is not one."""
        return cls(
            TargetKind(str(values.get("kind"))),
            str(values.get("key", "")),
            str(values.get("label", "")),
            FieldKind(values["field_kind"]) if values.get("field_kind") else None,
            tuple(cls.from_json(target) for target in values.get("attributes", ())),
        )

    def fields(self) -> tuple[Target, ...]:
        """The custom fields that the column fills, old and new."""
        if self.kind == TargetKind.ATTRIBUTES:
            return tuple(target for target in self.attributes if target.kind != TargetKind.IGNORE)
        return (self,) if self.kind in (TargetKind.FIELD, TargetKind.NEW_FIELD) else ()
