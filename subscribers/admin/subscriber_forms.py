"""Forms of one subscriber: add by hand, edit, merge with another address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from subscribers.addresses import Address, AddressError, parse_address
from subscribers.admin.rights import may_change, may_see_personal_data
from subscribers.admin.subscriber_page import form_page, page_url
from subscribers.directory.add import Added, add_with_confirmation, add_with_proof
from subscribers.directory.edit import COLUMNS, Seen, tag_names_of, topics_of, update_subscriber, update_subscription
from subscribers.directory.merge import MergeRefused, merge
from subscribers.directory.proof import ProofKind
from subscribers.models import (
    Frequency,
    MailingList,
    Subscriber,
    Subscription,
    Topic,
    check_header_text,
)
from subscribers.profile.fields import fields_of, values_of
from subscribers.profile.forms import FieldsForm
from subscribers.profile.tags import tag_names
from subscribers.suppression import SuppressionSecretDiffers

CONFIRMATION, PROOF = "confirmation", "proof"


class AddressField(forms.CharField):
    """An email address; its cleaned value is an Address."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=320, widget=forms.EmailInput(attrs={"autocomplete": "off"}), **kwargs)

    def clean(self, value: Any) -> Any:
        typed = super().clean(value)
        if not typed:
            return typed
        try:
            return parse_address(typed)
        except AddressError as error:
            raise ValidationError(str(error)) from error


class AddForm(forms.Form):
    """Who is added to which list, and how they agreed."""

    mailing_list = forms.ModelChoiceField(
        MailingList.objects.order_by("name"), label=gettext_lazy("List"), empty_label=None
    )
    address = AddressField(label=gettext_lazy("Address"))
    first_name = forms.CharField(
        label=gettext_lazy("First name"), max_length=60, required=False, validators=[check_header_text]
    )
    method = forms.ChoiceField(
        label=gettext_lazy("Consent"),
        choices=[
            (CONFIRMATION, gettext_lazy("Ask by a confirmation mail (recommended)")),
            (PROOF, gettext_lazy("They have agreed already: subscribe at once, with proof")),
        ],
        initial=CONFIRMATION,
        widget=forms.RadioSelect,
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("How they agreed"), choices=[("", "–"), *ProofKind.choices], required=False
    )
    statement = forms.CharField(
        label=gettext_lazy("Proof"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("When and how they agreed, in words. Stored as the consent. Only needed with proof."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if MailingList.objects.count() == 1:
            self.fields["mailing_list"].initial = MailingList.objects.first()

    def clean(self) -> dict[str, Any]:
        """With proof, both of its fields are required."""
        cleaned = super().clean() or {}
        if cleaned.get("method") == PROOF:
            for name in ("kind", "statement"):
                if not str(cleaned.get(name) or "").strip() and name not in self.errors:
                    self.add_error(name, ValidationError(_("Without a proof, only a confirmation mail can be sent.")))
        return cleaned


@require_http_methods(["GET", "HEAD", "POST"])
def add_subscriber(request: HttpRequest) -> HttpResponse:
    """Add one subscriber by hand."""
    if not request.user.has_perm("subscribers.add_subscriber"):
        raise PermissionDenied
    form = AddForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            result = _add(form.cleaned_data, by=request.user.get_username())
        except SuppressionSecretDiffers as error:
            form.add_error(None, str(error))
        else:
            sentence = _added_sentence(result)
            if result in (Added.ACTIVE, Added.CONFIRMATION):
                messages.success(request, sentence)
                address: Address = form.cleaned_data["address"]
                return HttpResponseRedirect(page_url(Subscriber.objects.get(canonical=address.canonical)))
            form.add_error("address", sentence)
    return form_page(request, None, form=form, title=_("Add subscriber"), button=_("Add subscriber"), sentences=[])


def _add(values: dict[str, Any], *, by: str) -> Added:
    mailing_list, address, first_name = values["mailing_list"], values["address"], values["first_name"]
    if values["method"] == CONFIRMATION:
        return add_with_confirmation(mailing_list, address, first_name=first_name, by=by)
    kind, statement = ProofKind(values["kind"]), values["statement"]
    return add_with_proof(mailing_list, address, first_name=first_name, kind=kind, statement=statement, by=by)


def _added_sentence(result: Added) -> str:
    return {
        Added.ACTIVE: _("The subscriber was added."),
        Added.CONFIRMATION: _("A confirmation mail will be sent. The subscription starts when it is confirmed."),
        Added.ALREADY: _("This address is subscribed already."),
        Added.PENDING: _("Has not confirmed yet. Only the subscriber can confirm."),
        Added.ENDED: _("Has unsubscribed. Only the subscriber can subscribe again: send a confirmation mail."),
        Added.SUPPRESSED: _("The address is suppressed after a bounce or a complaint, or by an editor."),
        Added.DECLINED: _("The subscriber chose “This was not me”, and gets no confirmation mail."),
        Added.LIMIT_REACHED: _("The address got several confirmation mails and has not answered. No other is sent."),
    }[result]


class DetailsForm(forms.ModelForm):  # type: ignore[type-arg]
    """What belongs to the subscriber, on every list."""

    class Meta:
        model = Subscriber
        fields = tuple(COLUMNS)


class SubscriptionForm(forms.Form):
    """What belongs to one subscription, apart from custom fields."""

    tags = forms.CharField(
        label=gettext_lazy("Tags"), max_length=2000, required=False, help_text=gettext_lazy("Separated by commas.")
    )
    topics = forms.ModelMultipleChoiceField(
        Topic.objects.none(), label=gettext_lazy("Topics"), required=False, widget=forms.CheckboxSelectMultiple
    )
    frequency = forms.ChoiceField(
        label=gettext_lazy("Frequency"),
        choices=Frequency.choices,
        help_text=gettext_lazy("If an issue was sent this week, a change applies from the end of the week on."),
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, subscription: Subscription, data: Any, *, prefix: str) -> None:
        topics = Topic.objects.filter(mailing_list=subscription.mailing_list_id)
        stored = tag_names_of(subscription)
        names = [name for name in stored if "," not in name]
        # Imported with another separator. In the text they would fall apart; here they stay.
        self.unlisted_tags = [name for name in stored if "," in name]
        initial = {
            "tags": ", ".join(names),
            "topics": [topic.pk for topic in topics_of(subscription)],
            "frequency": subscription.chosen_frequency,
            "seen": str(Seen.of(subscription)),
        }
        super().__init__(data, initial=initial, prefix=prefix)
        self.fields["topics"].queryset = topics  # type: ignore[attr-defined]
        if not topics.exists():
            del self.fields["topics"]
        if not (subscription.mailing_list.offers_weekly or subscription.frequency == Frequency.WEEKLY):
            del self.fields["frequency"]

    def clean_tags(self) -> list[str]:
        """The names of the tags."""
        return [*tag_names(self.cleaned_data["tags"]), *self.unlisted_tags]


@dataclass(frozen=True, slots=True)
class Section:
    """The part of the page about one subscription."""

    subscription: Subscription
    form: SubscriptionForm
    fields: FieldsForm

    @property
    def title(self) -> str:
        """The name of the list."""
        return self.subscription.mailing_list.name

    @property
    def is_valid(self) -> bool:
        """Both forms are checked, so that all errors are shown at once."""
        return all([self.form.is_valid(), self.fields.is_valid()])


def _section(subscription: Subscription, data: Any) -> Section:
    prefix = f"list-{subscription.mailing_list_id}"
    fields = FieldsForm(
        fields_of(subscription.mailing_list).values(),
        data,
        values=values_of([subscription.pk])[subscription.pk],
        prefix=prefix,
    )
    for field in fields.fields.values():
        # What the sign-up page demands of subscribers is no demand on editors.
        field.required = False
    return Section(subscription, SubscriptionForm(subscription, data, prefix=prefix), fields)


@require_http_methods(["GET", "HEAD", "POST"])
def edit_subscriber(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """Edit the details; each change is recorded."""
    if not may_change(request):
        raise PermissionDenied
    data = request.POST if request.method == "POST" else None
    details = DetailsForm(data, instance=Subscriber.objects.get(pk=subscriber.pk))
    rows = subscriber.subscriptions.select_related("mailing_list").order_by("mailing_list__name")
    sections = [_section(row, data) for row in rows]
    if data is not None and all([details.is_valid(), *(section.is_valid for section in sections)]):
        by = request.user.get_username()
        update_subscriber(subscriber.pk, {name: details.cleaned_data[name] for name in COLUMNS}, by=by)
        for section in sections:
            _save(section, by=by)
        messages.success(request, _("The changes were saved."))
        return HttpResponseRedirect(page_url(subscriber))
    return form_page(
        request, subscriber, form=details, sections=sections, title=_("Edit"), button=_("Save changes"), sentences=[]
    )


def _save(section: Section, *, by: str) -> None:
    values = section.form.cleaned_data
    update_subscription(
        section.subscription,
        tags=values["tags"],
        topics={topic.pk for topic in values.get("topics", ())},
        frequency=Frequency(values.get("frequency", section.subscription.chosen_frequency)),
        fields=section.fields.entered,
        by=by,
        seen=Seen.read(values["seen"]),
    )


class MergeForm(forms.Form):
    """The other address."""

    address = AddressField(
        label=gettext_lazy("Other address"), help_text=gettext_lazy("Its subscriptions and history move here.")
    )
    is_sure = forms.BooleanField(label=gettext_lazy("Both addresses belong to the same subscriber."))

    def __init__(self, subscriber: Subscriber, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subscriber = subscriber

    def clean_address(self) -> Subscriber:
        """The subscriber with that address."""
        address: Address = self.cleaned_data["address"]
        if address.canonical == self.subscriber.canonical:
            raise ValidationError(_("Enter the other address."))
        other = Subscriber.objects.filter(canonical=address.canonical).first()
        if other is None:
            raise ValidationError(_("No subscriber has this address."))
        return other


@require_http_methods(["GET", "HEAD", "POST"])
def merge_subscriber(request: HttpRequest, subscriber: Subscriber) -> HttpResponse:
    """Merge another address of the same subscriber into this one."""
    if not (may_change(request) and may_see_personal_data(request)):
        raise PermissionDenied
    form = MergeForm(subscriber, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            merge(subscriber.pk, form.cleaned_data["address"].pk, by=request.user.get_username())
        except (MergeRefused, SuppressionSecretDiffers) as error:
            form.add_error("address", str(error))
        else:
            messages.success(request, _("The addresses were merged. The other address gets no more mail."))
            return HttpResponseRedirect(page_url(subscriber))
    sentences = [
        _("Subscriptions, tags, fields, notes and deliveries of the other address move to %(address)s.")
        % {"address": subscriber.address},
        _("Where one of the two has unsubscribed, complained or was suppressed by an editor, that holds for both."),
        _("The other address stays without a subscription; you can erase it afterwards. You cannot undo this."),
    ]
    return form_page(
        request,
        subscriber,
        form=form,
        title=_("Merge with another address"),
        sentences=sentences,
        button=_("Merge addresses"),
        is_destructive=True,
    )
