"""The words for states in export files, by tool.

Words about paying are not words about mail: who stopped paying at Buttondown still gets its mails.
"""

from __future__ import annotations

from collections.abc import Mapping

from subscribers.imports.states import RowRefusal, RowState, StateAnswer

_A, _P, _U, _B, _C = RowState.ACTIVE, RowState.PENDING, RowState.UNSUBSCRIBED, RowState.BOUNCED, RowState.COMPLAINED

#: The word does not tell: the editor's answer decides.
ASK = None

Words = Mapping[str, StateAnswer | None]


def _words(*groups: tuple[StateAnswer | None, str]) -> Words:
    """An empty cell does not tell, unless a group has the empty word."""
    words: dict[str, StateAnswer | None] = {"": ASK}
    for answer, listed in groups:
        words.update(dict.fromkeys(listed.split(","), answer))
    return words


#: Files of unknown tools. No word about opening or paying, and no number: 1 may mean anything.
_OTHER = _words(
    (_A, "active,subscribed,confirmed,aktiv,abonniert,bestätigt,actif,abonné,confirmé,activo,suscrito,confirmado"),
    (
        _P,
        "pending,unconfirmed,not confirmed,waiting,unbestätigt,nicht bestätigt,en attente,non confirmé,"
        "pendiente,no confirmado",
    ),
    (
        _U,
        "unsubscribed,cancelled,canceled,inactive,disabled,blocklisted,blacklisted,opted out,opt out,removed,"
        "suppressed,abgemeldet,inaktiv,désabonné,désinscrit,inactif,dado de baja,baja,inactivo",
    ),
    (
        _B,
        "bounced,bounce,hard bounce,hard bounced,hardbounce,cleaned,undeliverable,unreachable,invalid,"
        "unzustellbar,rebotado",
    ),
    (_C, "complained,complaint,spam,spam complaint,marked as spam,junk,abuse,abuse report"),
    (RowRefusal.NEVER_OPTED_IN, "non subscribed,nonsubscribed,never subscribed,transactional"),
)

#: By the name of the preset; words in lower case, with spaces for `_` and `-`.
STATE_WORDS: Mapping[str, Words] = {
    # Two columns: the state, and why the address is suppressed. The stronger counts.
    "own": _words(
        (_A, "active"),
        (_P, "pending"),
        (_U, "unsubscribed"),
        (_B, "suppressed,hard bounce"),
        # No confirmation lifts these, unlike a bounce.
        (RowState.SUPPRESSED, "provider,manual"),
        (_C, "complaint"),
        (RowRefusal.ERASED_THERE, "erased"),
    ),
    "substack": _words((_A, "false"), (_U, "true")),
    "ghost": _words((_A, "true"), (_U, "false")),
    "buttondown": _words(
        (_A, "regular,premium,gifted,trialed,churning,churned,paused,past due,upcoming"),
        (_P, "unactivated"),
        (_U, "unsubscribed,removed"),
        (_B, "undeliverable"),
        (_C, "complained,spammy"),
        (RowRefusal.BLOCKED_THERE, "blocked"),
        (ASK, "unpaid"),
    ),
    # The state in the list was a filter of the export, which the file does not contain.
    "listmonk": _words((ASK, "enabled"), (_U, "blocklisted,blacklisted,disabled")),
    "keila": _words((_A, "active"), (_U, "unsubscribed"), (_B, "unreachable")),
    # Its header is that of many files: words that Kit does not have mean what they usually mean.
    "kit": {
        **_OTHER,
        **_words(
            (_A, "active,confirmed,cold"),
            (_P, "inactive,unconfirmed"),
            (_U, "cancelled,canceled,unsubscribed"),
            (_B, "bounced"),
            (_C, "complained"),
        ),
    },
    "beehiiv": _words(
        (_A, "active"),
        (_U, "inactive,unsubscribed"),
        (_P, "pending,validating,needs attention,needs approval"),
        (_B, "invalid"),
    ),
    "mailerlite": _words(
        (_A, "active"), (_P, "unconfirmed"), (_U, "unsubscribed"), (_B, "bounced"), (_C, "junk,complained")
    ),
    # One flag for subscribers who left, bounced or complained.
    "brevo": _words((_A, "no,false,0"), (_U, "yes,true,1")),
    "shopify": _words((_A, "yes,true"), (RowRefusal.NEVER_OPTED_IN, "no,false,")),
    "suppression_list": _words(
        # Postmark says who caused it, too: that alone is a “no”.
        (_U, "manualsuppression,manual,unsubscribe,unsubscribed,recipient,customer,admin"),
        (_B, "hardbounce,hard bounce,bounce,bounced,invalid,blocked"),
        (_C, "spamcomplaint,spam complaint,complaint,complained,spam,spam report,abuse"),
    ),
    "other": _OTHER,
}


#: Columns with yes or no, by preset. “Yes” in another column that an editor chose may mean the opposite.
FLAGS: Mapping[str, frozenset[str]] = {
    "substack": frozenset({"email_disabled"}),
    "ghost": frozenset({"subscribed_to_emails", "subscribed"}),
    "brevo": frozenset({"email_blacklisted"}),
    "shopify": frozenset({"accepts email marketing"}),
}


def words_of(preset: str) -> Words:
    """The words of a preset; those of other files if it has none of its own."""
    return STATE_WORDS.get(preset, STATE_WORDS["other"])


def normal_word(cell: str) -> str:
    """The cell as STATE_WORDS has it."""
    return " ".join(cell.casefold().replace("_", " ").replace("-", " ").split())
