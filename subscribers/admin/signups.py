"""Sign-ups in the admin: the rules, a dry run of them, the queue of held sign-ups, and the log of decisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminIntegerFieldWidget
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from subscribers.admin.filters import OfferedFilters
from subscribers.admin.read_only import ReadOnlyAdmin, TypedModelAdmin
from subscribers.models import DecisionReason, RuleAction, Signup, SignupDecision, SignupRule, SignupState
from subscribers.signup import challenge, held
from subscribers.signup.rules import DryRun, dry_run, in_words

ACTION_TONES = {RuleAction.ALLOW: "success", RuleAction.HOLD: "warn", RuleAction.CHALLENGE: "info"}
STATE_TONES = {SignupState.PROCESSED: "success", SignupState.HELD: "warn", SignupState.REFUSED: "error"}


def action_badge(action: str) -> SafeString:
    """An action as a word in its colour."""
    tone = ACTION_TONES.get(RuleAction(action), "error")
    return format_html('<span class="pill pill-{}">{}</span>', tone, RuleAction(action).label)


@admin.register(SignupRule)
class SignupRuleAdmin(OfferedFilters, TypedModelAdmin):
    """The rules in their order. A rule that is not active can be tried in the dry run first."""

    list_display = ("title", "position", "is_active", "action_badge", "conditions", "mailing_list")
    list_editable = ("position", "is_active")
    list_select_related = ("mailing_list",)
    list_filter = ("action", "is_active")
    ordering = ("position", "pk")
    change_list_template = "admin/subscribers/signuprule/change_list.html"
    fieldsets = (
        (None, {"fields": ("name", "mailing_list", "position", "is_active", "action", "altcha")}),
        (
            gettext_lazy("Conditions on the address"),
            {"fields": ("domains", "is_disposable", "is_role", "mail_domain")},
        ),
        (
            gettext_lazy("Conditions on the form"),
            {
                "fields": (
                    "is_honeypot",
                    "max_seconds",
                    "has_url",
                    "field_key",
                    "field_value",
                    "sources",
                    "languages",
                    "networks",
                )
            },
        ),
        (gettext_lazy("Condition on the rate"), {"fields": ("rate_scope", "rate_hours", "rate_above")}),
    )
    readonly_fields = ("altcha",)

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Name the fields of the list: their column is no label for a screen reader."""
        widgets = {
            "position": AdminIntegerFieldWidget(attrs={"aria-label": _("Position")}),
            "is_active": forms.CheckboxInput(attrs={"aria-label": _("Active")}),
        }
        return super().get_changelist_form(request, **{"widgets": widgets, **kwargs})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """In the order in which they are compared."""
        return super().get_queryset(request).order_by("position", "pk")

    def get_urls(self) -> list[URLPattern]:
        """With the dry run."""
        view = self.admin_site.admin_view(self.dry_run_view)
        return [path("dry-run/", view, name="subscribers_signuprule_dry_run"), *super().get_urls()]

    def dry_run_view(self, request: HttpRequest) -> HttpResponse:
        """What the rules would have done with the sign-ups of the last seven days; `?with=` adds an inactive rule."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        tried = request.GET.get("with", "")
        rules = [
            rule
            for rule in SignupRule.objects.select_related("mailing_list").in_order()
            if rule.is_active or str(rule.pk) == tried
        ]
        inactive = SignupRule.objects.filter(is_active=False).in_order()
        found = dry_run(rules, now=timezone.now())
        context = {
            **self.admin_site.each_context(request),
            "title": _("Dry run of the sign-up rules"),
            "opts": self.opts,
            "total": found.total,
            "is_cut": found.is_cut,
            "actions": _by_action(found),
            "lines": [
                {
                    "rule": line.rule,
                    "conditions": in_words(line.rule),
                    "badge": action_badge(line.rule.action),
                    "count": line.count,
                    "is_tried": str(line.rule.pk) == tried,
                }
                for line in found.by_rule
            ],
            "inactive": [(rule, in_words(rule)) for rule in inactive if str(rule.pk) != tried],
        }
        return TemplateResponse(request, "admin/subscribers/signuprule/dry_run.html", context)

    @admin.display(description=gettext_lazy("rule"), ordering="position")
    def title(self, rule: SignupRule) -> str:
        """The name, or its number."""
        return str(rule)

    @admin.display(description=gettext_lazy("conditions"))
    def conditions(self, rule: SignupRule) -> str:
        """The conditions in words."""
        return in_words(rule)

    @admin.display(description=gettext_lazy("action"), ordering="action")
    def action_badge(self, rule: SignupRule) -> str:
        """The action in its colour."""
        return action_badge(rule.action)

    @admin.display(description=gettext_lazy("Challenges"))
    def altcha(self, rule: SignupRule) -> str:
        """Whether challenges are possible."""
        if challenge.is_available():
            return _("The package altcha is installed.")
        return _("The package altcha is not installed: sign-ups that a challenge would meet are held for review.")


def _by_action(found: DryRun) -> list[tuple[str, int, int]]:
    """(action, would have, did) of each action that occurs."""
    return [
        (str(action.label), found.would.get(action, 0), found.did.get(action, 0))
        for action in RuleAction
        if found.would.get(action) or found.did.get(action)
    ]


class SignupStateFilter(admin.SimpleListFilter):
    """Held sign-ups first: they wait for an editor."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterator[tuple[str, str]]:
        """Each other state, and all."""
        yield "all", _("All")
        for state in SignupState:
            if state != SignupState.HELD:
                yield state.value, str(state.label)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Without a choice: held."""
        yield {
            "selected": self.value() is None,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": SignupState.HELD.label,
        }
        yield from list(super().choices(changelist))[1:]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The sign-ups in the state."""
        if self.value() == "all":
            return queryset
        return queryset.filter(state=self.value() or SignupState.HELD)


@admin.register(Signup)
class SignupAdmin(ReadOnlyAdmin):
    """The queue of held sign-ups, and those of the last day."""

    is_personal = True
    list_display = ("address", "mailing_list", "state_badge", "reason_text", "source", "created_at")
    list_filter = (SignupStateFilter, "mailing_list")
    list_select_related = ("mailing_list", "rule")
    search_fields = ("address",)
    search_help_text = gettext_lazy("Search for an address or a part of one.")
    ordering = ("-created_at", "-pk")
    fields = (
        "address",
        "mailing_list",
        "state_badge",
        "reason_text",
        "source",
        "network",
        "released_by",
        "created_at",
    )
    readonly_fields = ("state_badge", "reason_text")
    actions = ("release", "refuse")

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_badge(self, signup: Signup) -> str:
        """The state in its colour."""
        tone = STATE_TONES.get(SignupState(signup.state), "plain")
        return format_html('<span class="pill pill-{}">{}</span>', tone, signup.get_state_display())

    @admin.display(description=gettext_lazy("reason"))
    def reason_text(self, signup: Signup) -> str:
        """Why it is held or refused."""
        return _reason(signup.reason, signup.rule)

    @admin.action(description=gettext_lazy("Release: send the confirmation mail"), permissions=["change"])
    def release(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Let the worker answer the chosen held sign-ups."""
        count = held.release(queryset, by=request.user.get_username())
        note = ngettext("%(count)d sign-up is released.", "%(count)d sign-ups are released.", count)
        messages.success(request, note % {"count": count})

    @admin.action(description=gettext_lazy("Refuse: send no mail"), permissions=["change"])
    def refuse(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """End the chosen held sign-ups without a mail."""
        count = held.refuse(queryset, by=request.user.get_username())
        note = ngettext("%(count)d sign-up is refused.", "%(count)d sign-ups are refused.", count)
        messages.success(request, note % {"count": count})


@admin.register(SignupDecision)
class SignupDecisionAdmin(ReadOnlyAdmin):
    """The log of the last eight days, without addresses."""

    list_display = ("created_at", "mailing_list", "action_badge", "reason_text", "mail_domain", "by")
    list_filter = ("action", "reason", "mailing_list")
    list_select_related = ("mailing_list", "rule")
    ordering = ("-created_at", "-pk")
    fields = ("created_at", "mailing_list", "action_badge", "reason_text", "mail_domain", "network", "source", "by")
    readonly_fields = ("action_badge", "reason_text", "mail_domain", "network", "source")
    actions = None

    @admin.display(description=gettext_lazy("action"), ordering="action")
    def action_badge(self, decision: SignupDecision) -> str:
        """The action in its colour."""
        return action_badge(decision.action)

    @admin.display(description=gettext_lazy("reason"))
    def reason_text(self, decision: SignupDecision) -> str:
        """Why, and which rule."""
        return _reason(decision.reason, decision.rule)

    @admin.display(description=gettext_lazy("mail domain"))
    def mail_domain(self, decision: SignupDecision) -> str:
        """The domain of the address."""
        return str(decision.facts.get("domain", ""))

    @admin.display(description=gettext_lazy("network"))
    def network(self, decision: SignupDecision) -> str:
        """Where the sign-up came from, without the last part of the address."""
        return str(decision.facts.get("network", ""))

    @admin.display(description=gettext_lazy("source"))
    def source(self, decision: SignupDecision) -> str:
        """The poster or page that led to the form."""
        return str(decision.facts.get("source", ""))


def _reason(reason: str, rule: SignupRule | None) -> str:
    """The reason with the rule that decided."""
    if not reason:
        return "–"
    sentence = str(DecisionReason(reason).label)
    return f"{sentence} · {rule.name or in_words(rule)}" if rule else sentence
