"""What the preferences page says after something was saved."""

from __future__ import annotations

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from subscribers.consent.frequency import changes_on
from subscribers.models import Subscription


def note_of(subscription: Subscription, code: str) -> str:
    """The sentence about what was saved. Empty for an unknown code, which anyone can put into the URL."""
    now = timezone.now()
    if code == "pause_saved" and subscription.paused_until and subscription.is_paused(now):
        date = date_format(subscription.paused_until)
        return _("Saved. You will receive no issues until %(date)s.") % {"date": date}
    if code == "resume_saved" and not subscription.is_paused(now):
        return _("Saved. You receive issues again, starting with the next one.")
    if code == "zone_saved" and not subscription.subscriber.time_zone:
        return _("Saved. All issues are sent at the newsletter’s time.")
    if code == "frequency_saved" and (day := changes_on(subscription)):
        return _("Saved. The change applies from %(date)s on.") % {"date": date_format(day)}
    if code == "tracking_saved" and subscription.tracking_agreed_at:
        return _("Saved. What you open and click may be stored from now on.")
    notes = {
        "name_saved": _("Saved. The change applies from the next issue on."),
        "zone_saved": _("Saved. Issues that are sent at your local time now use this time zone."),
        "language_saved": _("Saved. This page and our mails about your subscription are in this language now."),
        "topics_saved": _("Saved. You receive issues about the topics that you have chosen."),
        "frequency_saved": _("Saved. The change applies from the next issue on."),
        "fields_saved": _("Saved. Thank you."),
        "tracking_saved": _("Saved. Nothing that you open or click is stored any more."),
        "address_asked": _(
            "We will send a mail to the new address and one to your present address. Your address changes once you "
            "have opened the links in both mails and pressed the buttons there."
        ),
        "link_sent": _("We will send a link to your address. It works for one day."),
        "join_asked": _("We will send a mail to your address. Open the link in it within 7 days to confirm."),
        "undone": _("The change was taken back."),
        "left": _("Saved. You will receive no more issues of that list."),
        "too_many": _("There were too many requests today. Try again tomorrow."),
    }
    return notes.get(code, "")
