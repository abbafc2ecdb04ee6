"""Fills the database of a separate installation for the journey through the subscribers in the admin.

Run inside the installation: `python -m tests.journeys.subscribers_site`. Prints the key of one with a history.
"""

from __future__ import annotations

import os


def main() -> None:
    """Thirty subscribers, and one with everything that a page can show."""
    from django.utils import timezone

    from newsletter.models import Delivery
    from subscribers.consent import actions
    from subscribers.models import CustomField, Evidence, Note, Segment, Subscription, SuppressionReason, Topic
    from subscribers.profile.fields import set_values
    from subscribers.profile.tags import add_tag, get_tags
    from subscribers.suppression import suppress_addresses
    from tests.people import BEN, ada, ben, cleo, finn, make_mailing_list, make_subscriptions
    from tests.publications import make_issue, make_newsletter, start_sending

    newsletter = make_newsletter()
    subscription = ada(newsletter)
    for person in (ben, cleo, finn):
        person(newsletter)
    ada(make_mailing_list("tide-tables", name="Tide Tables"))
    suppress_addresses({BEN: (SuppressionReason.COMPLAINT, "")})
    for tag in get_tags(newsletter, ["patron", "press"]):
        add_tag(tag, Subscription.objects.filter(pk=subscription.pk), by="edda")
    Topic.objects.create(mailing_list=newsletter, name="Ships", slug="ships")
    boats = CustomField.objects.create(
        mailing_list=newsletter, key="boats", label="Boats", kind="choices", options=["Sloop", "Ketch"]
    )
    set_values(subscription, {boats: ("Sloop",)}, by="edda")
    Segment.objects.create(mailing_list=newsletter, name="Jury", is_picked=True)
    Note.objects.create(subscriber=subscription.subscriber, text="Met at the fair.\nSay thanks.", by="edda")
    actions.pause(subscription.key, 2, Evidence(form="preferences", text="Paused.", ip="192.0.2.7"))
    now = timezone.now()
    for number, facts in enumerate(
        ({"clicked_at": now}, {"opened_at": now}, {"bounced_at": now}, {"delivered_at": now})
    ):
        send = start_sending(make_issue(f"issue-{number}", newsletter))
        Delivery.objects.create(
            issue=send.issue, send=send, subscriber=subscription.subscriber, state="accepted", **facts
        )
    make_subscriptions(30, newsletter)
    print(subscription.subscriber_id)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    import django

    django.setup()
    main()
