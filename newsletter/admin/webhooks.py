"""Outgoing webhooks in the admin: endpoints, their secrets and states, and the log of their messages."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from newsletter.admin.pages import pill_class, redirect_with_message, username_of
from newsletter.admin.records import RecordAdmin
from newsletter.content.links import web_link_problem
from newsletter.models import (
    CHOOSABLE_TYPES,
    EndpointReason,
    InvalidTransition,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
)
from newsletter.notifications.endpoints import (
    ROTATION,
    activate_endpoint,
    disable_endpoint,
    failed_since,
    open_endpoint,
    pause_endpoint,
    rotate_secret,
    send_again,
    send_test,
)
from newsletter.notifications.signing import secret_text
from newsletter.outbound import fetch_message
from subscribers.admin.deleting import DeletesWithConsequences
from subscribers.admin.filters import MAX_KEY_DIGITS
from subscribers.admin.rights import may_see_personal_data
from subscribers.models import check_header_text

if TYPE_CHECKING:
    EndpointModelForm = forms.ModelForm[WebhookEndpoint]
else:
    EndpointModelForm = forms.ModelForm

#: Lines of the tables on the page of an endpoint, the newest first.
SHOWN = 20

#: Where the session keeps the secret that is shown next: its key, not the secret.
SHOWN_SECRET = "webhook_secret"  # noqa: S105

CHANGE_PERMISSION = "newsletter.change_webhookendpoint"


class EndpointForm(EndpointModelForm):
    """An endpoint: where it is, and what it is told."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        validators=[check_header_text],
        help_text=gettext_lazy("For your team, such as the name of the system."),
    )
    types = forms.MultipleChoiceField(
        label=gettext_lazy("Types"),
        widget=forms.CheckboxSelectMultiple,
        choices=[(each.value, format_html("{} <code>{}</code>", each.label, each.value)) for each in CHOOSABLE_TYPES],
        help_text=gettext_lazy("What the endpoint is told. See docs/webhooks.md for the content of each type."),
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("name", "url", "types", "newsletter", "includes_addresses", "includes_imports")

    def clean_url(self) -> str:
        """Require https, except for hosts that the operator has allowed."""
        url = str(self.cleaned_data["url"]).strip()
        if problem := web_link_problem(url):
            raise forms.ValidationError(problem)
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise forms.ValidationError(_("The URL contains a user name or a password, which are never sent."))
        is_allowed = (parts.hostname or "") in {host.lower() for host in settings.FETCH_ALLOWED_HOSTS}
        if parts.scheme != "https" and not is_allowed:
            raise forms.ValidationError(
                _("The URL must start with https://. Only hosts in FETCH_ALLOWED_HOSTS may do without.")
            )
        return url


class WebhookEndpointAdmin(DeletesWithConsequences):
    """The endpoints."""

    form = EndpointForm
    list_display = ("name", "url", "newsletter_shown", "state_pill", "failing")
    list_filter = ("state",)
    list_select_related = ("newsletter",)
    ordering = ("name", "pk")
    fields = ("name", "url", "types", "newsletter", "includes_addresses", "includes_imports")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Editors who may not see addresses may not have them sent elsewhere."""
        return () if may_see_personal_data(request) else ("includes_addresses",)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """With a name for the empty choice."""
        return super().formfield_for_foreignkey(db_field, request, empty_label=_("All newsletters"), **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Newsletters are neither added nor changed from here."""
        form = super().get_form(request, obj, change=change, **kwargs)
        if "newsletter" in form.base_fields:
            widget = form.base_fields["newsletter"].widget
            widget.can_add_related = widget.can_change_related = False
            widget.can_view_related = widget.can_delete_related = False
        return form

    def consequences(self, obj: WebhookEndpoint) -> list[str]:
        """What is lost."""
        return [
            _("Messages that wait are not sent. The log of its messages is deleted."),
            _("To stop its messages and keep the log, disable it instead."),
        ]

    def delete_model(self, request: HttpRequest, obj: WebhookEndpoint) -> None:
        """In sets: Django would read each message."""
        WebhookMessage.objects.filter(endpoint=obj).delete_with_attempts()
        obj.delete()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A new endpoint gets its first secret, which the next page shows."""
        if change:
            obj.save()
        else:
            request.session[SHOWN_SECRET] = open_endpoint(obj).pk

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """The page with the secret."""
        return HttpResponseRedirect(self.page_url("secret", obj.pk))

    def get_urls(self) -> list[URLPattern]:
        """With the page of a new secret and the buttons."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/secret/", view(self.secret_view), name="newsletter_webhookendpoint_secret"),
            path("<int:pk>/act/", view(require_POST(self.act_view)), name="newsletter_webhookendpoint_act"),
            *super().get_urls(),
        ]

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """With state, secrets, the newest messages and the history."""
        context = dict(extra_context or {})
        endpoint = WebhookEndpoint.objects.filter(pk=_key(object_id)).first()
        if endpoint is not None:
            context |= {
                "pill": _pill(endpoint.state, endpoint.get_state_display()),
                "secrets": WebhookSecret.objects.filter(endpoint=endpoint).order_by("-pk")[:3],
                "recent": with_last_status(WebhookMessage.objects.filter(endpoint=endpoint)).order_by("-pk")[:SHOWN],
                "history": endpoint.transitions.order_by("-pk")[:SHOWN],
                "since": (timezone.now() - datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M"),
                "may_act": self.has_change_permission(request, endpoint),
                "may_see_log": _may_see_log(request),
            }
        return super().changeform_view(request, object_id, form_url, context)

    def secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The new secret, once."""
        endpoint = self.row_or_404(request, str(_key(pk)))
        if not self.has_change_permission(request, endpoint):
            raise PermissionDenied
        key = request.session.pop(SHOWN_SECRET, None)
        secret = WebhookSecret.objects.filter(pk=key, endpoint=endpoint).first()
        if secret is None:
            sentence = _("A secret is shown once. If you have not copied it, replace it.")
            return redirect_with_message(request, sentence, self.page_url("change", pk), level=messages.WARNING)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Secret of “%(name)s”") % {"name": endpoint.name},
            "opts": self.opts,
            "endpoint": endpoint,
            "secret": secret_text(secret),
            "is_replaced": WebhookSecret.objects.filter(endpoint=endpoint).count() > 1,
            "hours": int(ROTATION.total_seconds() // 3600),
            "back_url": self.page_url("change", pk),
        }
        response = TemplateResponse(request, "admin/newsletter/webhookendpoint/secret.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def act_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One of the buttons, by its name in `action`."""
        endpoint = self.row_or_404(request, str(_key(pk)))
        if not self.has_change_permission(request, endpoint):
            raise PermissionDenied
        page, by = self.page_url("change", pk), username_of(request)
        action = request.POST.get("action", "")
        try:
            if action == "replace":
                request.session[SHOWN_SECRET] = rotate_secret(endpoint).pk
                self.log_change(request, endpoint, _("Secret replaced."))
                return HttpResponseRedirect(self.page_url("secret", pk))
            sentence, level = _act(endpoint, action, request, by)
        except InvalidTransition as refusal:
            return redirect_with_message(request, str(refusal), page, level=messages.WARNING)
        return redirect_with_message(request, sentence, page, level=level)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Messages and attempts have no permission to delete of their own."""
        return bool(request.user.has_perm("newsletter.delete_webhookendpoint"))

    @admin.display(description=gettext_lazy("newsletter"))
    def newsletter_shown(self, endpoint: WebhookEndpoint) -> str:
        """Its newsletter, or all."""
        return str(endpoint.newsletter or _("All newsletters"))

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_pill(self, endpoint: WebhookEndpoint) -> str:
        """The state in its colour."""
        return _pill(endpoint.state, endpoint.get_state_display())

    @admin.display(description=gettext_lazy("failing since"))
    def failing(self, endpoint: WebhookEndpoint) -> Any:
        """Since when no attempt has succeeded."""
        return endpoint.failing_since


def _key(text: object) -> int:
    """The key in a URL; 0, which no row has, for anything else."""
    digits = str(text or "")
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= MAX_KEY_DIGITS else 0


def _may_see_log(request: HttpRequest) -> bool:
    return may_see_personal_data(request) and request.user.has_perm("newsletter.view_webhookmessage")


def _act(endpoint: WebhookEndpoint, action: str, request: HttpRequest, by: str) -> tuple[str, int]:
    """Do it, and say what was done. Raises InvalidTransition."""
    if action == "test":
        send_test(endpoint)
        return _("A test is sent within seconds. Reload this page to see the answer."), messages.SUCCESS
    if action == "pause":
        pause_endpoint(endpoint, by=by)
        return _("The endpoint is paused. Its messages wait until you activate it."), messages.SUCCESS
    if action == "disable":
        disable_endpoint(endpoint, by=by, reason=EndpointReason.DISABLED)
        return _("The endpoint is disabled. No messages are made for it."), messages.SUCCESS
    if action == "activate":
        activate_endpoint(endpoint, by=by, catches_up="catch_up" in request.POST)
        return _("The endpoint is active."), messages.SUCCESS
    if action == "again":
        return _send_failed_again(endpoint, request.POST.get("since", ""))
    return _("Nothing was done: choose a button of this page."), messages.WARNING


def _send_failed_again(endpoint: WebhookEndpoint, text: str) -> tuple[str, int]:
    since = _time(text)
    if since is None:
        return _("Enter a date and a time, such as 2026-11-29 08:00."), messages.ERROR
    count = send_again(failed_since(endpoint, since))
    sentence = ngettext("%(count)d message is sent again.", "%(count)d messages are sent again.", count)
    return sentence % {"count": count}, messages.SUCCESS


def _time(text: str) -> datetime.datetime | None:
    """A time of a form, in UTC; None if it is none."""
    try:
        found = parse_datetime(text.strip())
    except ValueError:
        return None
    if found is None:
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


class WebhookMessageAdmin(RecordAdmin):
    """The log of messages, with every attempt."""

    # Answers may repeat addresses.
    is_personal = True
    list_display = ("type", "endpoint_link", "state_pill", "status_shown", "tries", "at", "next_attempt_at")
    list_filter = ("state", "type", "endpoint")
    list_select_related = ("endpoint",)
    search_fields = ("uid__exact",)
    search_help_text = gettext_lazy("The ID of a message, which starts with msg_.")
    ordering = ("-pk",)
    fields = ("type", "uid", "endpoint_link", "state_pill", "at", "created_at", "next_attempt_at", "pretty_data")
    readonly_fields = ("endpoint_link", "state_pill", "pretty_data")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the status of the last attempt."""
        return with_last_status(WebhookMessage.objects.select_related("endpoint"))

    def get_urls(self) -> list[URLPattern]:
        """With the button that sends it again."""
        view = self.admin_site.admin_view(require_POST(self.again_view))
        return [path("<int:pk>/again/", view, name="newsletter_webhookmessage_again"), *super().get_urls()]

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """With its attempts."""
        attempts = WebhookAttempt.objects.filter(message=_key(object_id)).order_by("-pk")[:SHOWN]
        context = {
            **(extra_context or {}),
            "attempts": [(attempt, attempt_sentence(attempt)) for attempt in attempts],
            "may_act": request.user.has_perm(CHANGE_PERMISSION),
        }
        return super().changeform_view(request, object_id, form_url, context)

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send it again."""
        page = reverse("admin:newsletter_webhookmessage_change", args=[pk])
        if not (self.has_view_permission(request) and request.user.has_perm(CHANGE_PERMISSION)):
            raise PermissionDenied
        if send_again(WebhookMessage.objects.filter(pk=_key(pk))):
            return redirect_with_message(request, _("The message is sent again within seconds."), page)
        return redirect_with_message(request, _("The message waits already."), page, level=messages.WARNING)

    @admin.display(description=gettext_lazy("endpoint"))
    def endpoint_link(self, message: WebhookMessage) -> str:
        """Its endpoint."""
        url = reverse("admin:newsletter_webhookendpoint_change", args=[message.endpoint_id])
        return format_html('<a href="{}">{}</a>', url, message.endpoint)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_pill(self, message: WebhookMessage) -> str:
        """The state in its colour."""
        return _pill(message.state, message.get_state_display())

    @admin.display(description=gettext_lazy("last answer"))
    def status_shown(self, message: Any) -> str:
        """The HTTP status of the last attempt."""
        return message.last_status or ("–" if not message.last_code else _("no answer"))

    @admin.display(description=gettext_lazy("data"))
    def pretty_data(self, message: WebhookMessage) -> str:
        """The data as indented JSON, without the address, which is read when it is sent."""
        data = orjson.dumps(message.data, option=orjson.OPT_INDENT_2).decode()
        return format_html('<pre class="code">{}</pre>', data)


def with_last_status(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Messages with status and code of their last attempt."""
    last = WebhookAttempt.objects.filter(message=OuterRef("pk")).order_by("-pk")
    found: QuerySet[Any] = rows.annotate(
        last_status=Subquery(last.values("status")[:1]), last_code=Subquery(last.values("code")[:1])
    )
    return found


def attempt_sentence(attempt: WebhookAttempt) -> str:
    """What became of an attempt."""
    if attempt.code:
        return str(fetch_message(attempt.code, attempt.detail))
    if attempt.status is not None and 300 <= attempt.status < 400:
        return _("The server redirects. Enter the final URL: redirects are not followed.")
    return _("The message was taken.") if attempt.is_success else _("The server refused the message.")


def _pill(state: str, label: str) -> str:
    return format_html('<span class="{}">{}</span>', pill_class(state), label)
