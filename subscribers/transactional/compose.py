"""Writing transactional mails: rendered in the language of the subscription, with all headers, ready to be sent."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from subscribers.addresses import sender_line
from subscribers.models import Subscription, TransactionalMail, TransactionalMailKind


def enqueue_mail(
    kind: TransactionalMailKind,
    subscription: Subscription,
    links: Mapping[str, str],
    *,
    one_click_url: str,
    recipient: str = "",
) -> TransactionalMail:
    """Render and store one mail. `links` are the template variables with the URLs that it contains.
    `recipient` is the address, if it is not that of the subscriber.

    Of what was typed into a form it contains only the recipient's address: sign-up forms are abused to send text to
    strangers.
    """
    mailing_list = subscription.mailing_list
    context = {"mailing_list": mailing_list, "site_url": settings.SITE_URL, **links}
    folder = f"subscribers/email/{kind.value}"
    with translation.override(subscription.page_language):
        subject = render_to_string(f"{folder}/subject.txt", context)
        text = render_to_string(f"{folder}/body.txt", context)
        html = render_to_string(f"{folder}/body.html", context)
    return TransactionalMail.objects.create(
        kind=kind,
        subscription=subscription,
        recipient=recipient or subscription.subscriber.address,
        sender=sender_line(mailing_list.sender_name, mailing_list.sender_email),
        reply_to=mailing_list.reply_to,
        subject=" ".join(subject.split())[:200],
        text=text.strip() + "\n",
        html=html.strip() + "\n",
        headers={
            # RFC 8058 §3.1.
            "List-Unsubscribe": f"<{one_click_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            # Keeps automatic replies away (RFC 3834).
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )
