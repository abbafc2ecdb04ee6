"""The texts that subscribers agree to, in the language of the list. They are shown on pages and stored as proof."""

from __future__ import annotations

from django.utils import translation
from django.utils.translation import gettext as _

from subscribers.models import MailingList

#: Goes up whenever a sentence below changes. Consents store the text as it was shown, in its language.
TEXT_VERSION = "3"


def signup_text(mailing_list: MailingList) -> str:
    """The text that a subscriber agrees to by submitting the sign-up form."""
    with translation.override(mailing_list.page_language):
        return _(
            "We will send a confirmation link to this address. After you confirm, we will send you %(name)s. "
            "We use your address for nothing else. You can unsubscribe at any time with one click."
        ) % {"name": mailing_list.name}


def confirmation_text(mailing_list: MailingList, language: str = "") -> str:
    """The text that a subscriber agrees to with the button of the confirmation page, in this or the list's language."""
    with translation.override(language or mailing_list.page_language):
        return _(
            "By confirming, you agree to receive %(name)s at this address. "
            "You can unsubscribe at any time with one click."
        ) % {"name": mailing_list.name}


def tracking_text(mailing_list: MailingList) -> str:
    """The sentence that a subscriber agrees to by allowing tracking, in the active language."""
    return _(
        "%(name)s may store when I open its mails and which links I click. It uses this to find out what is read. "
        "I can change this at any time, and I get the same issues without it."
    ) % {"name": mailing_list.name}


def stay_text(mailing_list: MailingList) -> str:
    """The text that a subscriber agrees to with the button that keeps a subscription, in the active language."""
    return _(
        "By pressing the button, you agree to receive %(name)s at this address. You can unsubscribe at any time "
        "with one click."
    ) % {"name": mailing_list.name}
