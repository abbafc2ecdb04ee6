"""The sign-up form on cacheable pages."""

from __future__ import annotations

import time

from newsletter.models import Newsletter
from subscribers.consent.texts import signup_text
from subscribers.signup.forms import FASTEST, SignupForm, make_stamp

#: In seconds: how long all visitors get the same form; short compared with the hours for which it may be submitted.
STAMP_PERIOD = 15 * 60


class SharedSignupForm(SignupForm):
    """A form whose time stamp changes once per STAMP_PERIOD; one for each request would make pages uncacheable."""

    @property
    def fresh_stamp(self) -> str:
        """The stamp of the current period, so far back that a visitor at its very start does not count as a robot."""
        return make_stamp(self.mailing_list, shown_at=time.time() // STAMP_PERIOD * STAMP_PERIOD - FASTEST)


def signup_box(newsletter: Newsletter) -> dict[str, object]:
    """The context of `subscribers/signup_form.html`."""
    return {
        "form": SharedSignupForm(newsletter),
        "mailing_list": newsletter,
        "consent_text": signup_text(newsletter),
    }
