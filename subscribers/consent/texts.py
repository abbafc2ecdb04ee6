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


def confirmation_text(mailing_list: MailingList) -> str:
    """The text that a subscriber agrees to with the button of the confirmation page."""
    with translation.override(mailing_list.page_language):
        return _(
            "By confirming, you agree to receive %(name)s at this address. "
            "You can unsubscribe at any time with one click."
        ) % {"name": mailing_list.name}


def stay_text(mailing_list: MailingList) -> str:
    """The text that a subscriber agrees to with the button that keeps a subscription."""
    with translation.override(mailing_list.page_language):
        return _(
            "By pressing the button, you agree to receive %(name)s at this address. You can unsubscribe at any time "
            "with one click."
        ) % {"name": mailing_list.name}
