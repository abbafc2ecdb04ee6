"""Tags in the admin: how many have each, rename, merge two, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from subscribers.admin.deleting import DeletesWithConsequences
from subscribers.models import SubscriptionTag, Tag, check_header_text, tag_key
from subscribers.profile.tags import MAX_NAME, clean_tag_name
from subscribers.segments.references import merge_tags, segments_with_tag

if TYPE_CHECKING:
    TagModelForm = forms.ModelForm[Tag]
else:
    TagModelForm = forms.ModelForm


class TagForm(TagModelForm):
    """A tag. Its list stays."""

    name = forms.CharField(label=_("Name"), max_length=MAX_NAME, validators=[check_header_text])

    class Meta:
        model = Tag
        fields = ("mailing_list", "name")

    def clean_name(self) -> str:
        """On one line, and without the comma that separates tags in files and forms."""
        return clean_tag_name(str(self.cleaned_data["name"]))

    def clean(self) -> dict[str, Any]:
        """Refuse the name of another tag of the list, capital and small letters being the same."""
        cleaned = super().clean() or self.cleaned_data
        mailing_list = cleaned.get("mailing_list") or self.instance.mailing_list_id
        name = cleaned.get("name")
        if name and mailing_list:
            same = Tag.objects.filter(mailing_list=mailing_list, key=tag_key(name)).exclude(pk=self.instance.pk)
            if same.exists():
                self.add_error("name", gettext("There is a tag with this name already. You can merge the two."))
        return cleaned


class MergeForm(forms.Form):
    """The tag that stays."""

    target = forms.ModelChoiceField(Tag.objects.none(), label=_("Merge into"))

    def __init__(self, tag: Tag, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = Tag.objects.filter(mailing_list=tag.mailing_list_id).exclude(pk=tag.pk)
        self.fields["target"].queryset = others.order_by("key")  # type: ignore[attr-defined]


@admin.register(Tag)
class TagAdmin(DeletesWithConsequences):
    """The tags of all lists."""

    form = TagForm
    list_display = ("name", "mailing_list", "subscribers", "created_at")
    list_filter = ("mailing_list",)
    list_select_related = ("mailing_list",)
    search_fields = ("name",)
    search_help_text = _("Search for a part of a name.")
    ordering = ("mailing_list", "key")
    fields = ("mailing_list", "name")
    change_form_template = "admin/subscribers/tag/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the number of subscribers that have each tag of the page."""
        having = SubscriptionTag.objects.filter(tag=OuterRef("pk")).values("tag").annotate(n=Count("pk")).values("n")
        counted = Coalesce(Subquery(having, output_field=IntegerField()), 0)
        tags: QuerySet[Any] = super().get_queryset(request)
        counts: QuerySet[Any] = tags.annotate(having=counted)
        return counts

    @admin.display(description=_("subscribers"))
    def subscribers(self, tag: Any) -> str:
        """How many have it."""
        return str(number_format(tag.having, force_grouping=True))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The list of a stored tag stays."""
        return ("mailing_list",) if obj else ()

    def get_urls(self) -> list[URLPattern]:
        """With the page that merges."""
        merge = self.admin_site.admin_view(self.merge_view)
        return [path("<path:object_id>/merge/", merge, name="subscribers_tag_merge"), *super().get_urls()]

    def merge_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask on GET, merge on POST. The merged tag is deleted, so both permissions are needed."""
        tag = self.row_or_404(request, object_id)
        if not (self.has_change_permission(request, tag) and self.has_delete_permission(request, tag)):
            raise PermissionDenied
        form = MergeForm(tag, request.POST or None)
        if form.is_valid():
            target, name = form.cleaned_data["target"], tag.name
            self.log_deletions(request, Tag.objects.filter(pk=tag.pk))
            moved = merge_tags(tag, target)
            self.log_change(request, target, gettext("Merged with “%(name)s”.") % {"name": name})
            note = ngettext(
                "“%(name)s” was merged into “%(target)s”. %(count)d subscriber got a new tag.",
                "“%(name)s” was merged into “%(target)s”. %(count)d subscribers got a new tag.",
                moved,
            )
            messages.success(request, note % {"name": name, "target": target.name, "count": moved})
            return HttpResponseRedirect(self.page_url("changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Merge the tag “%(name)s”") % {"name": tag.name},
            "opts": self.opts,
            "tag": tag,
            "form": form,
            "has_errors": form.is_bound,
            "back_url": self.page_url("change", tag.pk),
        }
        return TemplateResponse(request, "admin/subscribers/tag/merge.html", context)

    def consequences(self, obj: Tag) -> list[str]:
        """Who loses it, and rules."""
        count = obj.subscription_tags.count()
        lost = ngettext("%(count)d subscriber loses the tag.", "%(count)d subscribers lose the tag.", count)
        return [
            lost % {"count": count},
            *(
                gettext("The rules of the segment “%(name)s” name it, and cannot be used without it.")
                % {"name": segment.name}
                for segment in segments_with_tag(obj)
            ),
        ]
