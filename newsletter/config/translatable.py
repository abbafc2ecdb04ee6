"""Translatable sentences for modules without Django: English text that is translated when it is shown.

Pure modules (content, rendering, pre-flight, providers) write `translatable("{count} links", count=3)`. The result is a
string with the English sentence, for comparing, logging and storing. `str()`, format strings and Django templates show
it in the active language. `newsletter.apps` installs Django's gettext; without it, sentences stay English.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

Gettext = Callable[[str], str]
NGettext = Callable[[str, str, int], str]
Separators = Callable[[], tuple[str, str]]

_gettext: Gettext = str
_ngettext: NGettext = lambda one, many, count: one if count == 1 else many  # noqa: E731 - the default of a hook
_separators: Separators = lambda: (",", ".")  # noqa: E731 - the default of a hook


def install(gettext: Gettext, ngettext: NGettext, separators: Separators | None = None) -> None:
    """Translate with these from now on; `separators` gives those of thousands and of decimals."""
    global _gettext, _ngettext, _separators
    _gettext, _ngettext = gettext, ngettext
    _separators = separators or _separators


class Translatable(str):
    """An English sentence that is shown in the active language.

    `message`, `plural` and `values` are its parts, from which a stored sentence can be restored.
    """

    message: str
    plural: str
    values: dict[str, Any]

    def __new__(cls, message: str, plural: str = "", values: dict[str, Any] | None = None) -> Self:
        """The English sentence; `values["count"]` chooses between `message` and `plural`."""
        values = values or {}
        chosen = plural if plural and values.get("count") != 1 else message
        english = {name: str.__str__(value) if isinstance(value, str) else value for name, value in values.items()}
        made = super().__new__(cls, chosen.format(**english) if english else chosen)
        made.message, made.plural, made.values = message, plural, values
        return made

    def __str__(self) -> str:
        """The sentence in the active language."""
        count = self.values.get("count", 1)
        template = _ngettext(self.message, self.plural, count) if self.plural else _gettext(self.message)
        shown = {name: _shown(value) for name, value in self.values.items()}
        return template.format(**shown) if shown else template

    def __format__(self, spec: str) -> str:
        """As in `str()`: a format string shows it."""
        return format(str(self), spec)

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, dict[str, Any]]]:
        """Pickled as what it is made of."""
        return type(self), (self.message, self.plural, self.values)


class _Number:
    """A number that `{count:,}` writes with the separators of the active language."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        thousands, decimals = _separators()
        return format(self.value, spec).translate({ord(","): thousands, ord("."): decimals})


def _shown(value: Any) -> Any:
    return _Number(value) if isinstance(value, int | float) else value


def translatable(message: str, /, **values: Any) -> Translatable:
    """A sentence whose `{names}` are filled from `values`. The message is a literal: `make messages` collects it."""
    return Translatable(message, "", values)


def translatable_plural(message: str, plural: str, /, *, count: int, **values: Any) -> Translatable:
    """The same for one and for many; `{count}` may stand in both."""
    return Translatable(message, plural, {"count": count, **values})


def to_data(sentence: str) -> Any:
    """`sentence` as JSON data, from which `from_data` makes it again: stored, or sent to another process."""
    if not isinstance(sentence, Translatable):
        return sentence
    values = {name: to_data(value) if isinstance(value, str) else value for name, value in sentence.values.items()}
    return {"message": sentence.message, "plural": sentence.plural, "values": values}


def from_data(data: Any) -> str:
    """The sentence that `to_data` gave this data for."""
    if not isinstance(data, dict):
        return str(data)
    values = {name: from_data(value) if isinstance(value, dict) else value for name, value in data["values"].items()}
    return Translatable(data["message"], data["plural"], values)
