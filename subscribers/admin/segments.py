"""Segments in the admin: a form that builds the rules without code, with live counts and a sample."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.cache import get_conditional_response
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from subscribers.admin.deleting import DeletesWithConsequences
from subscribers.admin.rights import shown_address
from subscribers.admin.subscriber_list import selection_of
from subscribers.directory.as_segment import list_of, tree_of
from subscribers.models import MailingList, Segment, SegmentPick, check_header_text
from subscribers.segments.count import Preview, preview_counts, sample_of
from subscribers.segments.editing import Shown, ShownGroup, new_tree, posted_tree, settled, with_step
from subscribers.segments.kinds import Facts, RuleError
from subscribers.segments.references import segments_with_segment
from subscribers.segments.rules import Group, RulesError, describe, parse_rules
from subscribers.segments.uses import uses_of

if TYPE_CHECKING:
    SegmentModelForm = forms.ModelForm[Segment]
else:
    SegmentModelForm = forms.ModelForm

#: Subscribers of a picked segment on one page.
PICKED_PER_PAGE = 50


class SegmentForm(SegmentModelForm):
    """Name and list. The list of a stored segment stays: its rules are about the list's tags and fields."""

    name = forms.CharField(label=_("Name"), max_length=100, validators=[check_header_text])

    class Meta:
        model = Segment
        fields = ("name", "mailing_list")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["mailing_list"].empty_label = None  # type: ignore[attr-defined]
        self.fields["mailing_list"].disabled = self.instance.pk is not None


@dataclass
class Draft:
    """The tree on the page: what is shown of it, and what is known about it."""

    facts: Facts
    tree: dict[str, Any]
    rules: Group | None = None
    """Checked; None while there are errors."""
    errors: list[RuleError] = field(default_factory=list)
    preview: Preview | None = None
    """None until it is counted."""

    @classmethod
    def of(cls, facts: Facts, tree: dict[str, Any]) -> Draft:
        """Check the tree."""
        draft = cls(facts, tree)
        try:
            draft.rules = parse_rules(tree, facts)
        except RulesError as refusal:
            draft.errors = refusal.errors
        return draft

    def count(self) -> None:
        """Count what the tree and its parts match, if it has no errors."""
        self.preview = preview_counts(self.rules, self.facts) if self.rules else None

    @property
    def shown(self) -> ShownGroup:
        """The controls."""
        return Shown(self.facts, self.errors, self.preview.parts if self.preview else None).group(self.tree)

    @property
    def words(self) -> str:
        """The segment as a sentence; empty while there are errors."""
        return describe(self.rules, self.facts) if self.rules else ""

    @property
    def error_links(self) -> list[tuple[str, str]]:
        """The id of the element and the sentence of each error, for the summary."""
        places = {part.dom_id: part.error for part in _all_parts(self.shown) if part.error}
        return list(places.items()) or [("group", str(error)) for error in self.errors]


def _all_parts(group: ShownGroup) -> list[Any]:
    found: list[Any] = [group]
    for part in group.parts:
        found += _all_parts(part) if isinstance(part, ShownGroup) else [part]
    return found


@admin.register(Segment)
class SegmentAdmin(DeletesWithConsequences):
    """Segments by rules, and segments whose subscribers were picked one by one."""

    list_display = ("name", "mailing_list", "found_how", "updated_at", "by")
    list_filter = ("mailing_list", "is_picked")
    list_select_related = ("mailing_list",)
    search_fields = ("name",)
    search_help_text = _("Search for a part of a name.")
    ordering = ("name", "pk")

    @admin.display(description=_("subscribers"), ordering="is_picked")
    def found_how(self, segment: Segment) -> str:
        """How its subscribers are found."""
        return gettext("picked by hand") if segment.is_picked else gettext("by rules")

    def get_urls(self) -> list[URLPattern]:
        """With the fragment that counts."""
        preview = self.admin_site.admin_view(self.preview_view)
        return [path("preview/", preview, name="subscribers_segment_preview"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A new segment: empty, picked (`?picked=1`), like another one (`?copy=`), or the filters of the list of
        subscribers (`?filters=1` and theirs).
        """
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._page(request, self._new_segment(request))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The builder of a segment, or the list of a picked one."""
        segment = self.row_or_404(request, object_id)
        if not self.has_view_or_change_permission(request, segment):
            raise PermissionDenied
        return self._page(request, segment)

    def consequences(self, obj: Segment) -> list[str]:
        """The sends and segments that use it."""
        return [
            *(
                gettext("It is used by “%(name)s”, which cannot start without it.") % {"name": use.name}
                for use in uses_of(obj)
                if use.is_open
            ),
            *(
                gettext("The rules of the segment “%(name)s” name it, and cannot be used without it.")
                % {"name": segment.name}
                for segment in segments_with_segment(obj)
            ),
            gettext("Subscribers are not deleted."),
        ]

    def _new_segment(self, request: HttpRequest) -> Segment:
        if request.method != "POST" and request.GET.get("filters") == "1":
            return self._from_filters(request)
        copied = request.GET.get("copy", "")
        if copied.isdecimal() and len(copied) < 19:
            original = get_object_or_404(Segment, pk=int(copied), is_picked=False)
            name = gettext("Copy of %(name)s") % {"name": original.name}
            return Segment(name=name[:100], mailing_list=original.mailing_list, rules=original.rules)
        mailing_list = _posted_list(request) or MailingList.objects.order_by("name", "pk").first()
        return Segment(mailing_list=mailing_list, is_picked=request.GET.get("picked") == "1")

    def _from_filters(self, request: HttpRequest) -> Segment:
        """The filters of the list as rules. Raises BadRequest."""
        selection = selection_of(request, without=("filters", "o"))
        tree, sentences = tree_of(selection)
        mailing_list = list_of(selection)
        if mailing_list is None:
            sentences.append(gettext("The filters name no list. Check that the list of the segment is the right one."))
            mailing_list = MailingList.objects.order_by("name", "pk").first()
        for sentence in sentences:
            messages.warning(request, sentence)
        return Segment(mailing_list=mailing_list, rules=tree if tree["rules"] else None)

    def _page(self, request: HttpRequest, segment: Segment) -> HttpResponse:
        if segment.mailing_list_id is None:
            messages.info(request, gettext("Create a newsletter first: a segment is a part of its subscribers."))
            return HttpResponseRedirect(self.page_url("changelist"))
        may_save = self.has_change_permission(request, segment) if segment.pk else self.has_add_permission(request)
        if request.method == "POST" and not may_save:
            raise PermissionDenied
        form = SegmentForm(request.POST if request.method == "POST" else None, instance=segment)
        if segment.is_picked:
            return self._picked_page(request, segment, form, may_save=may_save)
        draft = self._draft(request, segment)
        if request.method == "POST" and "save" in request.POST and form.is_valid() and draft.rules:
            segment.rules = draft.rules.as_json()
            return self._saved(request, form)
        # An editor who may change rules gets the count after the page, which is not to wait for it.
        if not may_save or (request.method == "POST" and "save" not in request.POST):
            draft.count()
        context = {"draft": draft, **_around(request, draft), "has_errors": "save" in request.POST}
        return self._render(request, segment, form, context, may_save=may_save)

    def _draft(self, request: HttpRequest, segment: Segment) -> Draft:
        """The tree of the form after its step, or the stored one. Raises BadRequest."""
        if request.method != "POST":
            facts = Facts(segment.mailing_list)
            return Draft.of(facts, segment.rules or new_tree(facts))
        facts = Facts(segment.mailing_list if segment.pk else _posted_list(request) or segment.mailing_list)
        return Draft.of(facts, _tree_after_step(request, facts))

    def _saved(self, request: HttpRequest, form: SegmentForm) -> HttpResponse:
        is_new, segment = form.instance.pk is None, form.instance
        segment.by = request.user.get_username()[:150]
        segment = form.save()
        if is_new:
            self.log_addition(request, segment, [{"added": {}}])
        else:
            self.log_change(request, segment, [{"changed": {"fields": ["rules", *form.changed_data]}}])
        messages.success(request, gettext("The segment “%(name)s” is saved.") % {"name": segment.name})
        if names := [use.name for use in uses_of(segment) if use.is_open]:
            sentence = gettext("This changes the audience of: %(names)s.")
            messages.warning(request, sentence % {"names": ", ".join(names)})
        return HttpResponseRedirect(self.page_url("change", segment.pk))

    def _picked_page(
        self, request: HttpRequest, segment: Segment, form: SegmentForm, *, may_save: bool
    ) -> HttpResponse:
        if request.method == "POST" and "remove" in request.POST and segment.pk:
            chosen = [int(pk) for pk in request.POST.getlist("picked") if pk.isdecimal() and len(pk) < 19]
            removed, _by_model = segment.picks.filter(pk__in=chosen[:PICKED_PER_PAGE]).delete()
            note = ngettext("%(count)d subscriber was removed.", "%(count)d subscribers were removed.", removed)
            messages.success(request, note % {"count": removed})
            return HttpResponseRedirect(self.page_url("change", segment.pk))
        if request.method == "POST" and form.is_valid():
            form.instance.is_picked = True
            return self._saved(request, form)
        after = request.GET.get("after", "")
        picked = SegmentPick.objects.filter(segment=segment.pk or 0).select_related("subscription__subscriber")
        if after.isdecimal() and len(after) < 19:
            picked = picked.filter(pk__gt=int(after))
        rows = list(picked.order_by("pk")[: PICKED_PER_PAGE + 1])
        context = {
            "picked": [(row, shown_address(request, row.subscription.subscriber)) for row in rows[:PICKED_PER_PAGE]],
            "next": rows[PICKED_PER_PAGE - 1].pk if len(rows) > PICKED_PER_PAGE else None,
            "has_errors": request.method == "POST",
            "may_see_subscribers": _may_see_subscribers(request),
        }
        return self._render(request, segment, form, context, may_save=may_save)

    def _render(
        self, request: HttpRequest, segment: Segment, form: SegmentForm, more: dict[str, Any], *, may_save: bool
    ) -> HttpResponse:
        title = segment.name if segment.pk else gettext("New segment")
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "segment": segment,
            "form": form,
            "may_save": may_save,
            "may_add": self.has_add_permission(request),
            "may_delete": bool(segment.pk) and self.has_delete_permission(request, segment),
            "uses": uses_of(segment) if segment.pk else [],
            "naming": segments_with_segment(segment) if segment.pk and segment.is_picked else [],
            **more,
        }
        template = "picked" if segment.is_picked else "builder"
        return TemplateResponse(request, f"admin/subscribers/segment/{template}.html", context)

    @method_decorator(require_POST)
    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """The builder and its result as a fragment: after a step, and with counts unless `count` is empty.

        412 instead of the same fragment again (RFC 9110 §13.1.2), by ETag.
        """
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        mailing_list = _posted_list(request)
        if mailing_list is None:
            raise BadRequest("no list")
        facts = Facts(mailing_list)
        draft = Draft.of(facts, _tree_after_step(request, facts))
        if request.POST.get("count"):
            draft.count()
        context = {"draft": draft, "may_save": True, "is_fragment": True, **_around(request, draft)}
        body = render_to_string("admin/subscribers/segment/fragment.html", context, request).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        response = get_conditional_response(request, etag=etag) or HttpResponse(body)
        response["ETag"], response["Cache-Control"] = etag, "private, no-store"
        return response


def _posted_list(request: HttpRequest) -> MailingList | None:
    """The list that the form or the query names."""
    key = request.POST.get("mailing_list", "") or request.GET.get("mailing_list", "")
    is_key = key.isascii() and key.isdecimal() and len(key) < 19
    return MailingList.objects.filter(pk=int(key)).first() if is_key else None


def _tree_after_step(request: HttpRequest, facts: Facts) -> dict[str, Any]:
    """The tree of the form after the step of the pressed button. Raises BadRequest."""
    try:
        tree, paths = posted_tree(request.POST)
    except RuleError as error:
        raise BadRequest(str(error)) from error
    return settled(with_step(tree, request.POST.get("do", ""), paths, facts), facts)


def _may_see_subscribers(request: HttpRequest) -> bool:
    """Whether rows of subscribers are shown; with masked addresses to those who may not see personal data."""
    return request.user.has_perm("subscribers.view_subscriber")


def _around(request: HttpRequest, draft: Draft) -> dict[str, Any]:
    """The sample, for those who may see subscribers, once it is counted. It stays the same until it is drawn again."""
    posted = request.POST.get("draw", "")
    drawn = int(posted) if posted.isascii() and posted.isdecimal() and len(posted) < 6 else 0
    drawn += "draw_again" in request.POST
    may_see, sample = _may_see_subscribers(request), None
    if draft.rules and draft.preview and may_see:
        found = sample_of(draft.rules, draft.facts, draw=random.Random(drawn).randint)  # noqa: S311 - not a secret
        sample = None if found is None else [(each, shown_address(request, each.subscriber)) for each in found]
    return {"sample": sample, "drawn": drawn, "may_see_subscribers": may_see}
