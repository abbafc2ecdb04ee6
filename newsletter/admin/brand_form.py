"""The form of a newsletter's brand, and what it says about its colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms.models import fields_for_model
from django.templatetags.static import static
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.content.links import web_link_problem
from newsletter.models import MAX_LINKS, Brand, Newsletter
from newsletter.rendering import RenderingError, ThemeError, load_theme, theme_names
from newsletter.rendering.brand import AccentUse
from newsletter.rendering.palette import READABLE
from newsletter.sending.source import branded_theme_of

if TYPE_CHECKING:
    BrandModelForm = forms.ModelForm[Brand]
else:
    BrandModelForm = forms.ModelForm

#: Columns of the newsletter that belong to its brand.
NEWSLETTER_FIELDS = ("theme", "logo_url", "logo_width", "postal_address")

_PICTURES = ("logo_url", "logo_dark_url", "portrait_url", "share_picture_url")
_MAX_WORD = 40


@dataclass(frozen=True, slots=True)
class ThemeChoice:
    """A theme on the page. Its thumbnail is empty for themes of one's own."""

    name: str
    label: str
    description: str
    thumbnail: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class ColorRow:
    """What became of one accent. `suggestion` is a color to use instead, or empty."""

    name: str
    field: str
    use: AccentUse
    sentence: str
    suggestion: str


class ColorField(forms.CharField):
    """A color as `#rrggbb`, in lower case, as those of themes are."""

    def to_python(self, value: Any) -> str:
        """In lower case."""
        return (super().to_python(value) or "").lower()


class BrandForm(BrandModelForm):
    """The brand, and the columns of its newsletter that belong to it."""

    links_text = forms.CharField(
        label=gettext_lazy("Links at the end"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("One link per line: a word, then its address. At most five."),
    )

    class Meta:
        model = Brand
        fields = (
            "accent",
            "accent_dark",
            "is_exact",
            "paper",
            "heading_font",
            "text_font",
            "logo_dark_url",
            "logo_alt",
            "writer",
            "portrait_url",
            "tagline",
            "footer",
            "share_picture_url",
        )
        field_classes = {"accent": ColorField, "accent_dark": ColorField}

    def __init__(self, newsletter: Newsletter, data: Any = None) -> None:
        self.newsletter = newsletter
        brand = Brand.of(newsletter)
        initial = {name: getattr(newsletter, name) for name in NEWSLETTER_FIELDS}
        initial["links_text"] = "\n".join(f"{link.word} {link.url}" for link in brand.footer_links())
        super().__init__(data, instance=brand, initial=initial, label_suffix="")
        self.fields.update(fields_for_model(Newsletter, fields=NEWSLETTER_FIELDS))
        choices = forms.ChoiceField(choices=[(name, name) for name in _usable_themes()], label=_("Theme"))
        self.fields["theme"] = choices
        self.fields["postal_address"].widget = forms.Textarea(attrs={"rows": 3})
        self.fields["footer"].widget = forms.Textarea(attrs={"rows": 2})
        for name in _PICTURES:
            self.fields[name].validators.append(_check_picture)
        for name in ("accent", "accent_dark"):
            self.fields[name].widget.attrs |= {"spellcheck": "false", "autocomplete": "off", "placeholder": "#1d1e2b"}

    def clean_links_text(self) -> list[list[str]]:
        """The links as a list of words and addresses."""
        lines = [line.strip() for line in str(self.cleaned_data["links_text"]).splitlines() if line.strip()]
        if len(lines) > MAX_LINKS:
            raise ValidationError(_("These are %(count)s links. Keep at most five.") % {"count": len(lines)})
        return [_link_of(line) for line in lines]

    def clean(self) -> dict[str, Any]:
        """Put what is not a field of the brand on the instances, which are not saved by that."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        for name in NEWSLETTER_FIELDS:
            if name in values:
                setattr(self.newsletter, name, values[name])
        if "links_text" in values:
            self.instance.links = values["links_text"]
        self.newsletter.brand = self.instance
        return values

    def save(self, commit: bool = True) -> Brand:
        """Save both rows."""
        with transaction.atomic():
            self.newsletter.save(update_fields=NEWSLETTER_FIELDS)
            return super().save(commit)

    def themes(self) -> list[ThemeChoice]:
        """The themes that can be used, with the chosen one."""
        chosen = self["theme"].value()
        return [_theme_choice(name, is_chosen=name == chosen) for name in _usable_themes()]

    def missing_theme(self) -> str:
        """Why the newsletter's theme cannot be used; empty if it can."""
        try:
            load_theme(str(self["theme"].value()), settings.THEME_FOLDERS)
        except ThemeError as error:
            return str(error)
        return ""


def color_rows(newsletter: Newsletter) -> list[ColorRow]:
    """What became of the accents of the instance; none without an accent."""
    try:
        return [_color_row(use) for use in branded_theme_of(newsletter).accents]
    except RenderingError:
        return []


def _color_row(use: AccentUse) -> ColorRow:
    is_dark = use.scheme == "dark"
    suggestion = use.readable if use.readable != use.chosen and not use.is_made else ""
    return ColorRow(
        name=_("Dark screens") if is_dark else _("Light screens"),
        field="accent_dark" if is_dark else "accent",
        use=use,
        sentence=_color_sentence(use),
        suggestion=suggestion,
    )


def _color_sentence(use: AccentUse) -> str:
    values = {
        "chosen": use.chosen,
        "used": use.used,
        "contrast": f"{use.contrast_chosen:.1f}",
        "required": READABLE,
    }
    if use.is_made:
        return _("Made from the accent for dark screens.")
    if use.used == use.chosen and use.is_readable:
        return _("Used as chosen.")
    if use.used == use.chosen:
        return (
            _(
                "Text in %(chosen)s is hard to read: its contrast is %(contrast)s : 1, and %(required)s : 1 is "
                "required. It can be saved, but pre-flight blocks sending."
            )
            % values
        )
    return (
        _(
            "Shown as %(used)s, because text in %(chosen)s would be hard to read (%(contrast)s : 1, %(required)s : 1 "
            "is required)."
        )
        % values
    )


def _theme_choice(name: str, *, is_chosen: bool) -> ThemeChoice:
    theme = load_theme(name, settings.THEME_FOLDERS)
    picture = f"newsletter/admin/themes/{name}.svg"
    has_picture = theme.is_shipped and finders.find(picture) is not None
    return ThemeChoice(name, theme.label, theme.description, static(picture) if has_picture else "", is_chosen)


def _usable_themes() -> Iterator[str]:
    for name in theme_names(settings.THEME_FOLDERS):
        try:
            load_theme(name, settings.THEME_FOLDERS)
        except ThemeError:
            continue
        yield name


def _check_picture(url: str) -> None:
    """Require https: mail programs show no other images."""
    if problem := web_link_problem(url):
        raise ValidationError(problem)
    if not url.startswith("https://"):
        raise ValidationError(_("The URL of an image must start with https://. Mail programs warn about other images."))


def _link_of(line: str) -> list[str]:
    word, _space, url = line.rpartition(" ")
    if not word.strip():
        raise ValidationError(_("“%(line)s” has no word. Write it before the address.") % {"line": line[:80]})
    if len(word) > _MAX_WORD:
        raise ValidationError(
            ngettext("A word has at most %(count)s character.", "A word has at most %(count)s characters.", _MAX_WORD)
            % {"count": _MAX_WORD}
        )
    if problem := web_link_problem(url):
        raise ValidationError(_("“%(word)s”: %(problem)s") % {"word": word.strip(), "problem": problem})
    return [word.strip(), url]
