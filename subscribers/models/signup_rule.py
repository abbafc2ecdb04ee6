"""Rules against abuse of the sign-up form, as data, and the log of what they decided."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from subscribers.models.custom_field import CustomField
from subscribers.models.mail_domain import MailDomainStatus
from subscribers.models.mailing_list import MailingList
from subscribers.models.validators import check_domains, check_networks


class RuleAction(models.TextChoices):
    """What happens to a sign-up. The visitor gets the same answer, except for a challenge."""

    ALLOW = "allow", pgettext_lazy("action of a rule", "Allow")
    HOLD = "hold", pgettext_lazy("action of a rule", "Hold for review")
    CHALLENGE = "challenge", pgettext_lazy("action of a rule", "Challenge")
    REFUSE = "refuse", pgettext_lazy("action of a rule", "Refuse")


class DecisionReason(models.TextChoices):
    """Why a sign-up was allowed, held or refused."""

    NO_RULE = "no_rule", _("No rule matches")
    RULE = "rule", _("A rule matches")
    NOT_SOLVED = "not_solved", _("The challenge was not solved")
    ADDRESS_LIMIT = "address_limit", _("Too many sign-ups of the same address")
    DOMAIN_LIMIT = "domain_limit", _("Unusually many sign-ups of the same mail domain")
    SITE_LIMIT = "site_limit", _("Unusually many sign-ups of the whole site")
    REPEATED = "repeated", _("The same sign-up is held already")
    EDITOR = "editor", _("An editor decided")
    COMPLAINT = "complaint", _("Waits until 30 days have passed since a spam complaint")


class RateScope(models.TextChoices):
    """What sign-ups are counted by."""

    NETWORK = "network", pgettext_lazy("rate of sign-ups", "Same network")
    ADDRESS = "address", pgettext_lazy("rate of sign-ups", "Same address")
    DOMAIN = "domain", pgettext_lazy("rate of sign-ups", "Same mail domain")
    SITE = "site", pgettext_lazy("rate of sign-ups", "Whole site")


class RateWindow(models.IntegerChoices):
    """The length of a window, in hours (UTC)."""

    HOUR = 1, pgettext_lazy("rate of sign-ups", "In an hour")
    DAY = 24, pgettext_lazy("rate of sign-ups", "In a day")


class SignupRuleQuerySet(models.QuerySet["SignupRule"]):
    """Queries about rules."""

    def in_order(self) -> SignupRuleQuerySet:
        """In the order in which they are compared."""
        return self.order_by("position", "pk")


class SignupRule(models.Model):
    """One rule. It matches a sign-up that meets all of its conditions; of all rules, the first that matches decides."""

    name = models.CharField(_("name"), max_length=100, blank=True, help_text=_("Empty: its conditions are its name."))
    mailing_list = models.ForeignKey(
        MailingList,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="signup_rules",
        verbose_name=_("mailing list"),
        help_text=_("Empty: all lists."),
    )
    position = models.PositiveSmallIntegerField(
        _("position"), default=100, help_text=_("Rules are compared in this order. The first that matches decides.")
    )
    is_active = models.BooleanField(_("active"), default=True)
    action = models.CharField(
        _("action"),
        max_length=9,
        choices=RuleAction.choices,
        default=RuleAction.HOLD,
        help_text=_(
            "Challenge asks the browser for a proof of work. It needs the package altcha and JavaScript; without "
            "them the sign-up is held."
        ),
    )

    domains = models.TextField(
        _("mail domains"),
        blank=True,
        max_length=5000,
        validators=[check_domains],
        help_text=_("Separated by spaces or line breaks. A dot before a name adds its subdomains: .example.net"),
    )
    is_disposable = models.BooleanField(_("disposable mail domain"), default=False)
    is_role = models.BooleanField(
        _("role address"), default=False, help_text=_("Such as abuse@, postmaster@ or noreply@ (RFC 2142).")
    )
    mail_domain = models.CharField(
        _("mail server"),
        max_length=8,
        blank=True,
        choices=[(choice.value, choice.label) for choice in (MailDomainStatus.NULL_MX, MailDomainStatus.MISSING)],
        help_text=_("What the DNS says about the mail domain. A rule does not match while the DNS does not answer."),
    )
    networks = models.TextField(
        _("networks"),
        blank=True,
        max_length=5000,
        validators=[check_networks],
        help_text=_("IP addresses and networks such as 203.0.113.0/24, separated by spaces or line breaks."),
    )
    sources = models.CharField(
        _("sources"), max_length=300, blank=True, help_text=_("Of the form’s address (?source=), separated by commas.")
    )
    languages = models.CharField(
        _("languages"),
        max_length=100,
        blank=True,
        help_text=_("First language that the browser asks for, as codes separated by commas, such as fr, pt."),
    )
    has_url = models.BooleanField(_("an answer contains a web address"), default=False)
    field_key = models.CharField(_("field"), max_length=40, blank=True, help_text=_("The key of a custom field."))
    field_value = models.CharField(
        _("answer"), max_length=200, blank=True, help_text=_("The answer to this field. Empty: any answer.")
    )
    is_honeypot = models.BooleanField(
        _("hidden field filled in"), default=False, help_text=_("Browsers do not show it, so only programs fill it in.")
    )
    max_seconds = models.DecimalField(
        _("submitted within"),
        max_digits=5,
        decimal_places=1,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.5"))],
        help_text=_("In seconds after the form was shown."),
    )
    rate_scope = models.CharField(_("sign-ups counted by"), max_length=7, blank=True, choices=RateScope.choices)
    rate_hours = models.PositiveSmallIntegerField(_("window"), choices=RateWindow.choices, default=RateWindow.HOUR)
    rate_above = models.PositiveIntegerField(
        _("more than"), null=True, blank=True, help_text=_("Matches each further sign-up of the window.")
    )

    objects: ClassVar[SignupRuleQuerySet] = SignupRuleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("sign-up rule"), _("sign-up rules")
        constraints = [
            models.CheckConstraint(condition=Q(action__in=RuleAction.values), name="signup_rule_action_known"),
            models.CheckConstraint(
                condition=Q(rate_scope="", rate_above__isnull=True)
                | (Q(rate_scope__in=RateScope.values) & Q(rate_above__isnull=False)),
                name="signup_rule_rate_complete",
            ),
            models.CheckConstraint(
                condition=~Q(action=RuleAction.CHALLENGE) | Q(mail_domain=""), name="signup_rule_challenge_at_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name or gettext("Rule %(position)d") % {"position": self.position}

    def clean(self) -> None:
        """Refuse conditions that could never match."""
        if bool(self.rate_scope) != (self.rate_above is not None):
            message = gettext("Set what sign-ups are counted by and the number, or neither.")
            raise ValidationError({"rate_scope": message})
        if self.action == RuleAction.CHALLENGE and self.mail_domain:
            message = gettext("The DNS is asked after the form was answered. Choose another action, or no mail server.")
            raise ValidationError({"mail_domain": message})
        if self.field_value and not self.field_key:
            raise ValidationError({"field_key": gettext("Enter the key of the field that has this answer.")})
        if self.field_key and not self._fields().exists():
            raise ValidationError({"field_key": gettext("No custom field has this key.")})

    def _fields(self) -> models.QuerySet[CustomField]:
        fields = CustomField.objects.filter(key=self.field_key)
        return fields.filter(mailing_list=self.mailing_list_id) if self.mailing_list_id else fields


class SignupDecision(models.Model):
    """What was decided about one sign-up, and by which rule. Kept for eight days, without the address."""

    created_at = models.DateTimeField(_("created at"), default=timezone.now, db_index=True)
    mailing_list = models.ForeignKey(
        MailingList, on_delete=models.CASCADE, related_name="+", verbose_name=_("mailing list"), db_index=False
    )
    action = models.CharField(_("action"), max_length=9, choices=RuleAction.choices)
    reason = models.CharField(_("reason"), max_length=16, choices=DecisionReason.choices)
    rule = models.ForeignKey(
        SignupRule, on_delete=models.SET_NULL, null=True, related_name="decisions", verbose_name=_("rule")
    )
    by = models.CharField(_("by"), max_length=150, blank=True, help_text=_("The editor’s user name."))
    facts = models.JSONField(
        _("facts"), default=dict, help_text=_("For a dry run: without answers, the network cut to a /24 or /48.")
    )

    class Meta:
        verbose_name, verbose_name_plural = _("sign-up decision"), _("sign-up decisions")
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(condition=Q(action__in=RuleAction.values), name="signup_decision_action_known"),
            models.CheckConstraint(condition=Q(reason__in=DecisionReason.values), name="signup_decision_reason_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} · {date_format(self.created_at, 'SHORT_DATETIME_FORMAT')}"
