"""Topics in the admin: the parts of a list that subscribers choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from subscribers.admin.deleting import DeletesWithConsequences
from subscribers.models import Topic, check_header_text
from subscribers.segments.references import segments_with_topic

if TYPE_CHECKING:
    TopicModelForm = forms.ModelForm[Topic]
else:
    TopicModelForm = forms.ModelForm


class TopicForm(TopicModelForm):
    """A topic. Its list and its slug stay: issues and exports name it by the slug."""

    name = forms.CharField(label=_("Name"), max_length=100, validators=[check_header_text])
    description = forms.CharField(
        label=_("Description"),
        max_length=200,
        required=False,
        validators=[check_header_text],
        help_text=_("Shown on the preferences page."),
    )

    class Meta:
        model = Topic
        fields = ("mailing_list", "name", "slug", "description", "position")
        help_texts = {"position": _("Topics are shown in this order, the lowest number first.")}


@admin.register(Topic)
class TopicAdmin(DeletesWithConsequences):
    """The topics of all lists."""

    form = TopicForm
    list_display = ("name", "mailing_list", "slug", "position", "opted_out")
    list_filter = ("mailing_list",)
    list_select_related = ("mailing_list",)
    search_fields = ("name",)
    search_help_text = _("Search for a part of a name.")
    ordering = ("mailing_list", "position", "pk")
    fields = ("mailing_list", "name", "slug", "description", "position")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the number of subscribers who do not get each topic."""
        topics: QuerySet[Any] = super().get_queryset(request)
        counts: QuerySet[Any] = topics.annotate(without=Count("opt_outs"))
        return counts

    @admin.display(description=_("do not get it"))
    def opted_out(self, topic: Any) -> str:
        """How many subscribers have chosen not to get it."""
        return str(number_format(topic.without, force_grouping=True))

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        """The slug of a new topic comes from its name."""
        return {} if obj else {"slug": ("name",)}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """List and slug of a stored topic stay."""
        return ("mailing_list", "slug") if obj else ()

    def consequences(self, obj: Topic) -> list[str]:
        """Whose choice is lost, and rules."""
        count = obj.opt_outs.count()
        lost = ngettext(
            "%(count)d subscriber has chosen not to get it. This choice is deleted.",
            "%(count)d subscribers have chosen not to get it. These choices are deleted.",
            count,
        )
        return [
            lost % {"count": count},
            gettext("An issue whose audience names it cannot be sent until you choose another topic."),
            *(
                gettext("The rules of the segment “%(name)s” name it, and cannot be used without it.")
                % {"name": segment.name}
                for segment in segments_with_topic(obj)
            ),
        ]
