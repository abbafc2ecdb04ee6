"""The sign-up form as pages that everybody shares show it."""

from __future__ import annotations

import time

from newsletter.models import Newsletter
from subscribers.consent.texts import signup_text
from subscribers.signup.forms import FASTEST, SignupForm, make_stamp

#: Seconds for which all visitors get the same form; small beside the hours for which it may be sent.
STEP = 15 * 60


class SharedSignupForm(SignupForm):
    """A form whose time stamp moves in steps: with a new one at each request, no copy of a page could be kept."""

    @property
    def fresh_stamp(self) -> str:
        """The stamp of the step that we are in; nobody who came at its very start is taken for a machine."""
        return make_stamp(self.mailing_list, shown_at=time.time() // STEP * STEP - FASTEST)


def signup_box(newsletter: Newsletter) -> dict[str, object]:
    """What `subscribers/signup_form.html` needs."""
    return {
        "form": SharedSignupForm(newsletter),
        "mailing_list": newsletter,
        "consent_text": signup_text(newsletter),
    }
