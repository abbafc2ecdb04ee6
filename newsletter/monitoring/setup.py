"""Setting up: the steps from an empty installation to the first delivered mail, and which of them are done."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import F, Model, Q, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _

from newsletter.config.validation import is_loopback
from newsletter.models import Batch, BatchState, Event, Newsletter
from newsletter.monitoring.diagnostic import Diagnostic, Severity
from newsletter.providers import get_route
from newsletter.providers.base import Provider, provider_account
from subscribers.addresses import domain_of
from subscribers.models import TransactionalMail, TransactionalMailState

#: Pages of Resend on which an operator acts.
RESEND_DOMAINS, RESEND_WEBHOOKS = "https://resend.com/domains", "https://resend.com/webhooks"

#: Mails and batches that are looked through for one of the present provider.
LAST_ROWS = 1_000

#: The state of a domain, as providers report it, that may send.
VERIFIED = "verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupStep:
    """One step. It has a `link`, an absolute URL, or a `command` with which it is done."""

    name: str
    """A short slug for programs, also the name of its diagnostic. It never changes."""
    is_done: bool
    sentence: str
    """What to do; of a step that is done, what has been reached."""
    link: str = ""
    command: str = ""


def setup_steps(domains: Mapping[str, str] | None = None) -> list[SetupStep]:
    """Every step, in order. `domains` are the provider's with their states, where it was asked. Few small queries.

    Mails and webhooks of another provider account, such as the sandbox's, prove nothing about the present ones.
    Without `domains`, a mail that the provider has accepted proves that the sender's domain is verified.
    """
    newsletters = list(Newsletter.objects.order_by("pk").only("name", "slug", "sender_email", "postal_address"))
    route = get_route()
    first_mail_at = _first_mail_at(route)
    # Mails by SMTP, where both are in the route, prove nothing about Resend.
    resend = [provider for provider in route if provider.supports_webhooks]
    by_resend_at = first_mail_at if len(resend) == len(route) else _first_mail_at(resend)
    return [
        _superuser(),
        _newsletter(newsletters),
        _sender(newsletters),
        *_provider(),
        *_domain(newsletters, domains, has_mail=by_resend_at is not None),
        _first_mail(newsletters, has_mail=first_mail_at is not None),
        *([_webhook(resend[0], by_resend_at)] if resend else []),
    ]


def open_steps(steps: Sequence[SetupStep]) -> list[SetupStep]:
    """Those that are left to do, the next one first."""
    return [step for step in steps if not step.is_done]


def setup_diagnostics(domains: Mapping[str, str] | None = None) -> Iterator[Diagnostic]:
    """The next step of setting up and those behind it; one that is OK when all are done."""
    steps = setup_steps(domains)
    if not (left := open_steps(steps)):
        yield Diagnostic(name="setup", severity=Severity.OK, sentence=_("The installation is set up."))
    for step in left:
        sentence = _("Next step of the setup: %(step)s") if step is left[0] else _("Later step of the setup: %(step)s")
        yield Diagnostic(
            name=step.name,
            severity=Severity.WARNING,
            sentence=sentence % {"step": step.sentence},
            link=step.link,
            command=step.command,
        )


def _superuser() -> SetupStep:
    is_done = get_user_model()._default_manager.filter(is_superuser=True, is_active=True).exists()
    return SetupStep(
        name="setup_superuser",
        is_done=is_done,
        sentence=_("An administrator can log in.")
        if is_done
        else _("Create an administrator, who logs in to the admin."),
        command="manage.py createsuperuser",
    )


def _newsletter(newsletters: Sequence[Newsletter]) -> SetupStep:
    return SetupStep(
        name="setup_newsletter",
        is_done=bool(newsletters),
        sentence=_("A newsletter exists.")
        if newsletters
        else _("Create a newsletter with its name, its sender and your postal address."),
        link=_url("admin:newsletter_newsletter_add"),
    )


def _sender(newsletters: Sequence[Newsletter]) -> SetupStep:
    incomplete = [each for each in newsletters if not (each.sender_email and each.postal_address.strip())]
    if incomplete:
        sentence = _("Set the sender and the postal address of %(newsletter)s: no issue is sent without them.")
        sentence %= {"newsletter": incomplete[0].name}
        link = _url("admin:newsletter_newsletter_change", incomplete[0].pk)
    elif newsletters:
        sentence = _("The sender and the postal address are set.")
        link = _url("admin:newsletter_newsletter_changelist")
    else:
        sentence = _("Set the sender and the postal address of the newsletter: no issue is sent without them.")
        link = _url("admin:newsletter_newsletter_changelist")
    return SetupStep(name="setup_sender", is_done=bool(newsletters) and not incomplete, sentence=sentence, link=link)


def _provider() -> Iterator[SetupStep]:
    """Only on a public site: on this machine the sandbox is what a first try needs."""
    if not is_loopback(settings.SITE_HOST):
        is_done = "sandbox" not in settings.PROVIDER.split(",")
        yield SetupStep(
            name="sandbox",
            is_done=is_done,
            sentence=_("PROVIDER names a provider that sends mail.")
            if is_done
            else _(
                "Set PROVIDER and its key, and restart. PROVIDER is sandbox: no mail leaves this machine. This command "
                "documents every setting."
            ),
            command="manage.py show_settings",
        )


def _domain(
    newsletters: Sequence[Newsletter], domains: Mapping[str, str] | None, *, has_mail: bool
) -> Iterator[SetupStep]:
    """Only for Resend: the sandbox takes any domain, and a mail server cannot be asked."""
    if "resend" not in settings.PROVIDER.split(","):
        return
    senders = list(dict.fromkeys(domain_of(each.sender_email) for each in newsletters))
    states = {domain_of(f"postmaster@{name}"): state for name, state in (domains or {}).items()}
    unverified = [domain for domain in senders if states.get(domain) != VERIFIED]
    is_done = bool(senders) and (has_mail if domains is None else not unverified)
    sentence = (
        _("The provider has verified the domain %(domain)s.")
        if is_done
        else _("Add the domain %(domain)s at the provider, and create the DNS records that it shows.")
    )
    yield SetupStep(
        name="setup_domain",
        is_done=is_done,
        sentence=sentence % {"domain": (unverified or senders or [_("of the sender")])[0]},
        link=RESEND_DOMAINS,
    )


def _first_mail(newsletters: Sequence[Newsletter], *, has_mail: bool) -> SetupStep:
    link = _url("subscribe", newsletters[0].slug) if newsletters else f"{settings.SITE_URL}/"
    return SetupStep(
        name="setup_first_mail",
        is_done=has_mail,
        sentence=_("The present provider has accepted mail.")
        if has_mail
        else _("Subscribe on your sign-up page and confirm: the present provider has not accepted any mail yet."),
        link=link,
    )


def _webhook(provider: Provider, first_mail_at: datetime.datetime | None) -> SetupStep:
    is_sandbox = "sandbox" in settings.PROVIDER.split(",")
    is_done = first_mail_at is not None and _has_event_since(first_mail_at)
    sentence = (
        _("Webhooks of the provider arrive at %(url)s.")
        if is_done
        else _(
            "Let the provider post webhooks to %(url)s: none was received yet about its mails, so bounces and "
            "complaints are unknown."
        )
    )
    return SetupStep(
        name="setup_webhook",
        is_done=is_done,
        sentence=sentence % {"url": _url("webhook", provider.name)},
        link="" if is_sandbox else RESEND_WEBHOOKS,
        command="manage.py sandbox" if is_sandbox else "",
    )


def _first_mail_at(providers: Sequence[Provider]) -> datetime.datetime | None:
    """When the first of the last mails was posted that the present account of one of these providers accepted."""
    accounts = [provider_account(provider) for provider in providers]
    mails = TransactionalMail.objects.filter(_is_late(TransactionalMail), state=TransactionalMailState.SENT)
    batches = Batch.objects.filter(_is_late(Batch), state=BatchState.ACCEPTED)
    posted = [
        accepted.filter(provider__in=accounts).order_by("pk").values_list("first_attempt_at", flat=True).first()
        for accepted in (mails, batches)
    ]
    return min((at for at in posted if at), default=None)


def _is_late(model: type[Model]) -> Q:
    """The LAST_ROWS of a table: no index knows providers, and rows of a former one may be millions."""
    floor = model._default_manager.order_by("-pk").values(floor=F("pk") - LAST_ROWS)[:1]
    return Q(pk__gt=Subquery(floor))


def _has_event_since(at: datetime.datetime) -> bool:
    """Whether the latest event was received after this time."""
    latest = Event.objects.order_by("-pk").values_list("received_at", flat=True).first()
    return latest is not None and latest >= at


def _url(name: str, *arguments: object) -> str:
    return f"{settings.SITE_URL}{reverse(name, args=arguments)}"
