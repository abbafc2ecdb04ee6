"""The states that rows of a file can have, and the reasons why a row is refused."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class RowState(TextChoices):
    """The state of a subscriber in the tool that the file comes from."""

    ACTIVE = "active", pgettext_lazy("state of an imported row", "Active")
    PENDING = "pending", pgettext_lazy("state of an imported row", "Not confirmed yet")
    UNSUBSCRIBED = "unsubscribed", pgettext_lazy("state of an imported row", "Unsubscribed")
    BOUNCED = "bounced", pgettext_lazy("state of an imported row", "Bounced")
    SUPPRESSED = "suppressed", pgettext_lazy("state of an imported row", "Must not be mailed")
    COMPLAINED = "complained", pgettext_lazy("state of an imported row", "Reported a mail as spam")


#: Of several rows with the same address, the state with the highest rank counts.
STATE_RANK: dict[RowState, int] = {
    RowState.PENDING: 0,
    RowState.ACTIVE: 1,
    RowState.UNSUBSCRIBED: 2,
    RowState.BOUNCED: 3,
    RowState.SUPPRESSED: 4,
    RowState.COMPLAINED: 5,
}


class RowRefusal(TextChoices):
    """Why a row is not imported. `ImportRow.detail` holds the word or the explanation that belongs to it."""

    NO_ADDRESS = "no_address", _("The row has no address.")
    INVALID_ADDRESS = "invalid_address", _("Not a valid address.")
    TWO_ADDRESSES = "two_addresses", _("Two subscribers in one row: the cell contains more than one address.")
    UNKNOWN_STATE = "unknown_state", _("The state is not known.")
    NO_STATE = "no_state", _("The row does not say whether its address is subscribed.")
    NEVER_OPTED_IN = "never_opted_in", _("Never agreed to receive the newsletter.")
    BLOCKED_THERE = "blocked_there", _("Was blocked there and never received the newsletter.")
    ERASED_THERE = "erased_there", _("Was erased there.")
    TOO_MANY_COLUMNS = "too_many_columns", _("The row has more columns than the first row. Check its quotes.")
    UNCLOSED_QUOTE = "unclosed_quote", _("A quote is not closed: the row contains the rows after it. Close the quote.")
    NUL_CHARACTER = "nul_character", _("The row contains a NUL character. Remove it.")


#: What a file or an answer says about its rows: a state, or that they are not imported, with the reason.
StateAnswer = RowState | RowRefusal


def state_answer(code: str) -> StateAnswer | None:
    """The answer that is stored as this code; None for an empty one. Raises ValueError for others."""
    if not code:
        return None
    return RowState(code) if code in RowState.values else RowRefusal(code)
