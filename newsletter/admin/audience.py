"""The audience of an issue on its compose page: other lists, segments and a topic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.content.audience import load_audience, segment_name
from newsletter.content.document import AudienceContent
from newsletter.content.fields import audience_faults
from newsletter.models import Issue, Newsletter
from subscribers.models import Segment, Topic

#: The fields of AudienceContent that are lists of names.
NAME_LISTS = ("lists", "segments", "exclude")


class AudienceForm(forms.Form):
    """Checkboxes with the names that issue files use. A name that names nothing can be unticked, and else is kept."""

    #: Only a form that has shown the audience changes it: without the boxes, nothing would be ticked.
    shown = forms.BooleanField(required=False, initial=True, widget=forms.HiddenInput)
    topic = forms.ChoiceField(
        required=False,
        label=gettext_lazy("Topic"),
        help_text=gettext_lazy("Subscribers who opted out of this topic do not get the issue."),
    )
    lists = forms.MultipleChoiceField(
        required=False,
        label=gettext_lazy("Also send to these lists"),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy(
            "A subscriber of several lists gets the issue once. Subscribers who left or paused this newsletter do not "
            "get it through another list."
        ),
    )
    segments = forms.MultipleChoiceField(
        required=False,
        label=gettext_lazy("Only these segments"),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Subscribers in any of them. Without a segment, the whole list gets the issue."),
    )
    exclude = forms.MultipleChoiceField(
        required=False,
        label=gettext_lazy("Without these segments"),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Their subscribers do not get the issue, through any list."),
    )

    def __init__(self, data: Any, issue: Issue) -> None:
        self.stored = load_audience(issue) if issue.pk else AudienceContent()
        initial = {name: list(getattr(self.stored, name)) for name in NAME_LISTS} | {"topic": self.stored.topic}
        super().__init__(data, prefix="audience", initial=initial)
        choices = dict(self._choices(issue)) if issue.pk else {}
        for name in NAME_LISTS:
            known = choices.get("lists" if name == "lists" else "segments", [])
            self._offer(name, [*known, *_missing(getattr(self.stored, name), known)])
        topics = choices.get("topic", [])
        topics = [*topics, *_missing((self.stored.topic,) if self.stored.topic else (), topics)]
        self._offer("topic", [("", _("No topic: all subscribers")), *topics] if topics else [])

    def clean(self) -> dict[str, Any]:
        """Check the audience by the rules of the content."""
        for name, fault in audience_faults(self.content()):
            self.add_error(name if name in self.fields else None, str(fault))
        return self.cleaned_data

    def content(self) -> AudienceContent:
        """What the editor chose; as it is stored if the form did not show it."""
        if not self.cleaned_data.get("shown"):
            return self.stored
        chosen = {name: tuple(self.cleaned_data.get(name, ())) for name in NAME_LISTS}
        return AudienceContent(topic=self.cleaned_data.get("topic", ""), **chosen)

    @property
    def boxes(self) -> list[forms.BoundField]:
        """The fields with checkboxes."""
        return [self[name] for name in NAME_LISTS if name in self.fields]

    @property
    def is_default(self) -> bool:
        """Whether exactly the active subscribers of the newsletter get the issue."""
        return self.stored == AudienceContent() and not self.errors

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        if choices:
            self.fields[name].choices = choices  # type: ignore[attr-defined]
        else:
            del self.fields[name]

    def _choices(self, issue: Issue) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        own = issue.newsletter_id
        others = Newsletter.objects.exclude(pk=own).order_by("name")
        yield "lists", [(each.slug, each.name) for each in others]
        segments = Segment.objects.select_related("mailing_list").order_by("mailing_list__name", "name")
        ordered = sorted(segments, key=lambda segment: segment.mailing_list_id != own)
        yield "segments", [(segment_name(each, own), _label(each, own)) for each in ordered]
        yield "topic", [(topic.slug, topic.name) for topic in Topic.objects.filter(mailing_list=own)]


def _label(segment: Segment, own: int) -> str:
    if segment.mailing_list_id == own:
        return segment.name
    return _("%(segment)s (%(list)s)") % {"segment": segment.name, "list": segment.mailing_list.name}


def _missing(names: tuple[str, ...], known: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names that name nothing: shown, so that an editor can take them out."""
    values = {value for value, _name in known}
    return [(name, _("%(name)s (does not exist)") % {"name": name}) for name in names if name not in values]
