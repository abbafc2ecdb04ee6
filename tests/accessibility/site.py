"""Fills the database with one of everything that a page can show, and returns the URLs of the pages by their names."""

from __future__ import annotations

import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from newsletter.content.document import SectionContent, StoryContent
from newsletter.content.store import load_content, save_content
from newsletter.deliverability.check import Asked, refresh
from newsletter.deliverability.dmarc_reports import store_file
from newsletter.engagement.disabled_links import disable_address, enable_address
from newsletter.engagement.tokens import EditionSigner
from newsletter.models import (
    CHOOSABLE_TYPES,
    FIRST_LINK,
    AcceptedFinding,
    Brand,
    Delivery,
    DomainCheck,
    Edition,
    EndpointReason,
    Event,
    Issue,
    LinkCheck,
    LinkState,
    MessageState,
    Newsletter,
    PostmasterDay,
    ReportMail,
    Send,
    SendCount,
    SendState,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
    numbered_links,
)
from newsletter.notifications.endpoints import disable_endpoint, open_endpoint, pause_endpoint, rotate_secret, send_test
from newsletter.outbound import FetchPolicy
from newsletter.preflight import request_link_checks
from newsletter.reports.shared_story import revoke_share, share_story
from newsletter.sending.check import check_issue, findings_of
from newsletter.sending.control import cancel_send
from subscribers.addresses import parse_address
from subscribers.consent import actions, sunset, tokens
from subscribers.consent.address_change import request_change
from subscribers.imports.control import start_run
from subscribers.models import (
    AddressChange,
    BulkAction,
    BulkActionKind,
    CustomField,
    DataRequest,
    DataRequestKind,
    Evidence,
    FieldAsked,
    FieldKind,
    MailingList,
    Note,
    Segment,
    Signup,
    SignupDecision,
    SignupRule,
    Subscription,
    SubscriptionCount,
    SubscriptionState,
    Suppression,
    SuppressionReason,
    Tag,
    Topic,
)
from subscribers.profile.fields import set_values
from subscribers.profile.tags import add_tag, get_tags
from subscribers.signup.queue import process_signups, store_signup
from subscribers.suppression import suppress_addresses
from tests.newsletter.deliverability.dns import DOMAIN, complete
from tests.newsletter.deliverability.reports import DAY, record, report, yesterday
from tests.newsletter.engagement.sent import own_links, send_to
from tests.newsletter.reports.filled import count_clicks, fill_every_place
from tests.newsletter.sending.audiences import choose
from tests.people import BEN, ada, ben, cleo, finn, make_subscriptions
from tests.publications import content, expand_audiences, make_issue, make_newsletter, schedule_send, start_sending
from tests.subscribers.imports.exports_of import export_of
from tests.subscribers.imports.importing import check, plain_file, run, uploaded

#: Rows that end in different ways, among them refused ones.
ROWS = [
    ("gus@example.org", "active", "Gus", "press, patron", ""),
    ("hana@example.org", "unsubscribed", "Hana", "", "2026-03-01"),
    ("no address", "active", "Ines", "", ""),
    ("jan@example.org", "asleep", "Jan", "", ""),
    (BEN, "active", "Ben", "", ""),
]


def fill_list() -> Newsletter:
    """A newsletter with fields of all kinds, topics, tags, segments, and subscribers in all states."""
    newsletter = make_newsletter(
        consent_mode="consent",
        is_embeddable=True,
        frame_origins="https://harbour.example",
        privacy_url="https://harbour.example/privacy",
        complaint_contact="privacy@harbour.example",
    )
    make_newsletter("tide-tables", name="Tide Tables", description="High and low water, every Monday.")
    MailingList.objects.update(is_listed=True, offers_weekly=True)
    for name in ("Ships", "Weather"):
        Topic.objects.create(mailing_list=newsletter, name=name, slug=name.lower(), description=f"All about {name}.")
    for number, kind in enumerate(FieldKind):
        asked = FieldAsked.CONFIRMED if kind == FieldKind.DATE else FieldAsked.SIGNUP
        options = ["Sloop", "Ketch"] if "choice" in kind else []
        shown: dict[str, Any] = {"label": f"Field {number}", "help_text": f"About field {number}.", "options": options}
        CustomField.objects.create(mailing_list=newsletter, key=f"field_{number}", kind=kind, asked=asked, **shown)
    subscription = ada(newsletter)
    for person in (ben, cleo, finn):
        person(newsletter)
    ada(MailingList.objects.get(slug="tide-tables"))
    suppress_addresses({BEN: (SuppressionReason.COMPLAINT, "")})
    for tag in get_tags(newsletter, ["patron", "press"]):
        add_tag(tag, Subscription.objects.filter(pk=subscription.pk), by="edda")
    boats = CustomField.objects.get(kind=FieldKind.CHOICES)
    set_values(subscription, {boats: ("Sloop",)}, by="edda")
    fill_segments(newsletter)
    make_subscriptions(26, newsletter)
    return newsletter


def fill_segments(newsletter: Newsletter) -> None:
    """One by rules with a group, and one that was picked."""
    tag = str(Tag.objects.get(name="press").pk)
    inner = {"match": "any", "rules": [{"kind": "tag", "field": "", "comparison": "is_not", "value": tag}]}
    rules = {"match": "all", "rules": [{"kind": "tag", "field": "", "comparison": "is", "value": tag}, inner]}
    Segment.objects.create(mailing_list=newsletter, name="Press", rules=rules)
    Segment.objects.create(mailing_list=newsletter, name="Jury", is_picked=True)


def admin_url(name: str, *arguments: object) -> str:
    return reverse(f"admin:{name}", args=arguments)


def public_pages(newsletter: Newsletter) -> dict[str, str]:
    """All pages of subscribers that a link opens."""
    slug = newsletter.slug
    signup = reverse("subscribe", args=[slug])
    store_signup(newsletter, parse_address("gus@gmial.com"), Evidence(form="signup"))
    process_signups()
    request = Subscription.objects.get(subscriber__canonical="gus@gmial.com")
    row = Subscription.objects.get(subscriber__canonical="ada@example.org", mailing_list=newsletter)
    ended = Subscription.objects.get(subscriber__canonical="cleo@example.org")
    request_change(row.key, parse_address("ada@example.net"))
    change = AddressChange.objects.get()
    sunset.ask_to_stay([row.pk], silent_since=timezone.now(), answer_time=datetime.timedelta(days=14))
    access, erase = (DataRequest.objects.create(subscriber=row.subscriber, kind=kind) for kind in DataRequestKind)
    return {
        "sign-up": signup,
        "check-mail": f"{signup}check-mail/?for={Signup.objects.get().key}",
        "embed": reverse("embed", args=[slug]),
        "embed-check-mail": reverse("embed-check-mail", args=[slug]),
        "confirm": tokens.confirm_url(request.key, request.request_number),
        "confirm-used": tokens.confirm_url(ended.key, ended.request_number),
        "decline": tokens.decline_url(request.key),
        "preferences": tokens.preferences_url(row.key),
        "preferences-ended": tokens.preferences_url(ended.key),
        "unsubscribe": tokens.unsubscribe_url(row.key),
        "confirm-address": tokens.confirm_address_url(change.key),
        "approve-address": tokens.approve_address_url(change.key),
        "refuse-address": tokens.refuse_address_url(change.key),
        "my-data": tokens.access_url(access.key),
        "erase-me": tokens.erase_url(erase.key),
        "stay": tokens.stay_url(row.key),
        "invalid-link": "/preferences/nothing/",
        "home": reverse("newsletter", args=[slug]),
    }


def subscriber_pages(newsletter: Newsletter) -> dict[str, str]:
    """The list of subscribers, the page of one, and their forms."""
    row = Subscription.objects.get(subscriber__canonical="ada@example.org", mailing_list=newsletter)
    suppressed = Subscription.objects.get(subscriber__canonical=BEN).subscriber
    Note.objects.create(subscriber=row.subscriber, text="Met at the fair.\nSay thanks.", by="edda")
    actions.pause(row.key, 2, Evidence(form="preferences", text="Paused.", ip="192.0.2.7"))
    now = timezone.now()
    for number, facts in enumerate(({"clicked_at": now}, {"opened_at": now}, {"bounced_at": now})):
        send = start_sending(make_issue(f"issue-{number}", newsletter))
        Delivery.objects.create(issue=send.issue, send=send, subscriber=row.subscriber, state="accepted", **facts)
    everyone = admin_url("subscribers_subscriber_changelist")
    pages = {
        "list": everyone,
        "list-nobody": f"{everyone}?q=nobody&state=active",
        "add": f"{everyone}add/",
        "export": f"{everyone}export/",
        "suppressed": f"{everyone}{suppressed.pk}/change/",
        "lift": f"{everyone}{suppressed.pk}/lift/",
        "export-records": admin_url("subscribers_export_changelist"),
    }
    pages |= {f"actions-{kind}": f"{everyone}actions/{kind}/?q=reader" for kind in BulkActionKind.values}
    paths = ("change", "edit", "unsubscribe", "merge", "pause", "suppress", "erase", "history")
    return pages | {path: f"{everyone}{row.subscriber_id}/{path}/" for path in paths}


def record_pages(newsletter: Newsletter) -> dict[str, str]:
    """Segments, fields, tags, topics, sign-up rules and queue, suppressions, and the records of subscribers."""
    SignupRule.objects.create(is_role=True, action="hold")
    SignupRule.objects.create(domains="a.example", action="challenge", is_active=False)
    for address in ("abuse@example.org", "gus@example.org"):
        store_signup(newsletter, parse_address(address), Evidence(form="signup"))
    process_signups()
    press, jury = (Segment.objects.get(name=name).pk for name in ("Press", "Jury"))
    models = (CustomField, Tag, Topic, SignupRule, Signup, SignupDecision, Suppression)
    field, tag, topic, rule, held, decided, suppression = (model.objects.order_by("pk")[0].pk for model in models)
    names = {"segment", "customfield", "tag", "signuprule", "signup", "signupdecision", "suppression"}
    names |= {"topic", "consent", "subscription", "transactionalmail", "bulkaction", "import"}
    BulkAction.objects.create(kind=BulkActionKind.ADD_TAG, selection={}, by="edda", up_to=0)
    pages = {f"{name}-list": admin_url(f"subscribers_{name}_changelist") for name in names}
    return pages | {
        "segment-add": admin_url("subscribers_segment_add"),
        "segment-rules": admin_url("subscribers_segment_change", press),
        "segment-picked": admin_url("subscribers_segment_change", jury),
        "segment-delete": admin_url("subscribers_segment_delete", press),
        "field-add": admin_url("subscribers_customfield_add"),
        "field": admin_url("subscribers_customfield_change", field),
        "field-delete": admin_url("subscribers_customfield_delete", field),
        "topic-add": admin_url("subscribers_topic_add"),
        "topic": admin_url("subscribers_topic_change", topic),
        "tag-add": admin_url("subscribers_tag_add"),
        "tag": admin_url("subscribers_tag_change", tag),
        "tag-merge": admin_url("subscribers_tag_merge", tag),
        "tag-delete": admin_url("subscribers_tag_delete", tag),
        "rule-add": admin_url("subscribers_signuprule_add"),
        "rule": admin_url("subscribers_signuprule_change", rule),
        "rule-dry-run": admin_url("subscribers_signuprule_dry_run"),
        "held": admin_url("subscribers_signup_change", held),
        "decision": admin_url("subscribers_signupdecision_change", decided),
        "suppression": admin_url("subscribers_suppression_change", suppression),
        "suppressions-import": admin_url("subscribers_suppression_import"),
        "embed-code": admin_url("newsletter_newsletter_sign_up_form", newsletter.pk),
        "newsletter": admin_url("newsletter_newsletter_change", newsletter.pk),
    }


def import_pages() -> dict[str, str]:
    """Each step of the wizard, and each state of an import."""

    def page(name: str, stored: Any) -> str:
        return admin_url(f"subscribers_import_{name}", stored.pk)

    mailchimp, listmonk = export_of("mailchimp", 40), export_of("listmonk", 40)
    one, asks = uploaded(mailchimp.data, mailchimp.name), uploaded(listmonk.data, listmonk.name)
    checking, checked, running = uploaded(plain_file(ROWS)), uploaded(plain_file(ROWS)), uploaded(plain_file(ROWS))
    finished, failed = uploaded(plain_file(ROWS)), uploaded(plain_file(ROWS))
    for stored in (checked, running, finished):
        check(stored)
    start_run(running, by="edda")
    run(finished)
    type(checking).objects.filter(pk=checking.pk).update(state="checking")
    type(failed).objects.filter(pk=failed.pk).update(state="failed", problem="file", detail="Row 4 has a quote.")
    return {
        "upload": admin_url("subscribers_import_add"),
        "columns": page("columns", one),
        "columns-asks": page("columns", asks),
        "checking": page("review", checking),
        "review": page("review", checked),
        "running": page("review", running),
        "finished": page("review", finished),
        "failed": page("review", failed),
        "undo": page("undo", finished),
    }


def issue_pages(newsletter: Newsletter) -> dict[str, str]:
    """The pages of an issue where its audience is chosen or shown, and the page that stops all sending."""
    draft, scheduled = make_issue("issue-1", newsletter), make_issue("issue-2", newsletter)
    choose(draft, lists=("tide-tables",), segments=("Press",), exclude=("Jury",), topic="ships")
    schedule_send(scheduled)
    sent = start_sending(make_issue("issue-3", newsletter)).issue
    expand_audiences()
    Subscription.objects.filter(state=SubscriptionState.PENDING).update(source="poster")

    def page(issue: Issue, name: str) -> str:
        return admin_url(f"newsletter_issue_{name}", issue.pk)

    full = fill_every_place(make_issue("issue-4", newsletter)).issue
    stopped = start_sending(make_issue("issue-5", newsletter))
    expand_audiences()
    cancel_send(stopped, by="edda")
    people = f"{page(full, 'report_recipients')}?place=bounced"
    drafts = {f"issue-{name}": page(draft, name) for name in ("change", "check", "dry_run", "schedule", "send_now")}
    return (
        drafts
        | check_pages(newsletter)
        | {
            "issue-scheduled": page(scheduled, "schedule"),
            "issue-report": page(sent, "report"),
            "issue-report-full": page(full, "report"),
            "issue-report-cancelled": page(stopped.issue, "report"),
            "issue-report-recipients": people,
            "overview": reverse("admin:index"),
            "sending-switch": reverse("sending_switch"),
        }
    )


def check_pages(newsletter: Newsletter) -> dict[str, str]:
    """The check of a draft with every sort of finding, its fixes, a form to accept a warning, and the way through."""
    faulty = make_issue("issue-7", newsletter)
    stories = [StoryContent(title=f"A story without a link, number {number}", body="Words.") for number in range(14)]
    stories += [StoryContent(title=f"http {n}", url=f"http://news{n}.example/", body="Words.") for n in range(2)]
    stories.append(StoryContent(title="An id", url="https://news.example/?mc_eid=1", body="Words."))
    faults = content("issue-7", preheader="", sections=(SectionContent(title="Dives", stories=tuple(stories)),))
    save_content(faulty, faults, by="edda")
    accepted = next(one for one in findings_of(faulty) if one.code == "date_differs")
    AcceptedFinding.objects.create(
        issue=faulty, key=accepted.key, code="content.date_differs", reason="It is late.", by="edda"
    )
    request_link_checks(load_content(faulty))
    for number in range(2):
        url = f"http://news{number}.example/"
        LinkCheck.objects.filter(url=url).update(state=LinkState.CHECKED, status=200, final_url=url, has_https=True)
    check_issue(faulty, by="edda")

    def page(name: str) -> str:
        return admin_url(f"newsletter_issue_{name}", faulty.pk)

    return {
        "check": page("check"),
        "check-fixes": page("check_fixes"),
        "check-accept": f"{page('check_accept')}?kind=links.https_available",
        "check-tour": f"{page('change')}?check=content.story_without_link&at=2#id_rows-2-url",
    }


def report_pages(newsletter: Newsletter) -> dict[str, str]:
    """The report with clicks, its parts, and what a sponsor sees: a link that works, one that does not."""
    send = fill_every_place(make_issue("issue-6", newsletter))
    count_clicks(send)
    send = Send.objects.get(pk=send.pk)
    _share, token = share_story(send, FIRST_LINK, by="edda", expires_at=timezone.now() + datetime.timedelta(days=90))
    revoked, _token = share_story(send, FIRST_LINK + 1, by="edda")
    revoke_share(revoked, by="edda")

    def page(name: str) -> str:
        return admin_url(f"newsletter_issue_{name}", send.issue_id)

    return {
        "report": page("report"),
        "report-share": page("report_share"),
        "report-provider": page("report_provider"),
        "shared-story": reverse("shared-story", args=[token]),
        "shared-unknown": reverse("shared-story", args=["x"]),
    }


def webhook_pages(newsletter: Newsletter) -> dict[str, str]:
    """The pages of outgoing webhooks: endpoints in all states, with messages and attempts, and their log."""
    types = [each.value for each in CHOOSABLE_TYPES]
    made = []
    for name in ("Shop", "CRM", "Chat"):
        endpoint = WebhookEndpoint(name=name, url=f"https://{name.lower()}.example/hooks/newsletter", types=types)
        open_endpoint(endpoint)
        made.append(endpoint)
    shop, crm, chat = made
    rotate_secret(shop)
    WebhookEndpoint.objects.filter(pk=shop.pk).update(failing_since=timezone.now(), newsletter=newsletter)
    pause_endpoint(crm, by="edda")
    disable_endpoint(chat, by="worker", reason=EndpointReason.GONE)
    messages = [send_test(shop) for _ in range(3)]
    for message, state in zip(messages, MessageState.values, strict=True):
        WebhookMessage.objects.filter(pk=message.pk).update(state=state)
        for code, status, answer in (("timeout", None, ""), ("", 500, "<html>An error occurred.</html>" * 9)):
            detail = {"host": "shop.example", "seconds": 15}
            WebhookAttempt.objects.create(
                message=message, duration=15_000, code=code, status=status, answer=answer, detail=detail
            )
    return {
        "webhooks-list": admin_url("newsletter_webhookendpoint_changelist"),
        "webhook-add": admin_url("newsletter_webhookendpoint_add"),
        "webhook": admin_url("newsletter_webhookendpoint_change", shop.pk),
        "webhook-paused": admin_url("newsletter_webhookendpoint_change", crm.pk),
        "webhook-disabled": admin_url("newsletter_webhookendpoint_change", chat.pk),
        "webhook-delete": admin_url("newsletter_webhookendpoint_delete", chat.pk),
        "webhook-messages": admin_url("newsletter_webhookmessage_changelist"),
        "webhook-message": admin_url("newsletter_webhookmessage_change", messages[-1].pk),
    }


def deliverability_pages(newsletter: Newsletter) -> dict[str, str]:
    """The page with everything that it can show: rates, findings of all kinds, and DMARC reports."""
    fill_deliverability(newsletter)
    return {"deliverability": f"{reverse('deliverability')}?domain={DOMAIN}"}


def fill_deliverability(newsletter: Newsletter) -> None:
    """Rates of a month, the findings of an incomplete domain, two reports, and a send with complaints."""
    now = timezone.now()
    rates = (3, 3, 4, 3, 5, 4, 4, 6, 5, 8, 7, 5, 4, 4, 3, 3, 4, 5, 4, 3, 3, 3, 2, 3, 3, 4, 3, 3)
    day = now.astimezone(datetime.UTC).date() - datetime.timedelta(days=29)
    PostmasterDay.objects.bulk_create(
        PostmasterDay(domain=DOMAIN, day=day + datetime.timedelta(days=number), spam_rate=rate / 10_000)
        for number, rate in enumerate(rates)
    )
    states = {"SPF_AND_DKIM": "COMPLIANT", "DMARC_ALIGNMENT": "COMPLIANT", "ONE_CLICK_UNSUBSCRIBE": "COMPLIANT"}
    states |= {"HONOR_UNSUBSCRIBE": "COMPLIANT", "ENCRYPTION": "COMPLIANT", "USER_REPORTED_SPAM_RATE": "NEEDS_WORK"}
    PostmasterDay.objects.create(domain=DOMAIN, day=now.astimezone(datetime.UTC).date(), compliance=states)
    dns = complete(**{"TXT _dmarc.example.org": ["v=DMARC1; p=none; rua=mailto:dmarc@example.org; pct=100"]})
    policy = FetchPolicy(user_agent="tests", resolver=lambda host, port: ["127.0.0.1"])
    refresh(DomainCheck.objects.create(domain=DOMAIN), Asked(lookup=dns, policy=policy), now)
    rows = [record("192.0.2.10", 49_580), record("203.0.113.12", 1_204, spf_domain="example.org")]
    rows += [record("198.51.100.40", 288, spf="fail", dkim="fail", disposition="reject")]
    rows += [record("192.0.2.77", 124, spf="fail", dkim="fail")]
    store_file(report(*rows, id="month"), by="edda")
    store_file(report(record(count=900), id="week", begin=yesterday() - 8 * DAY), by="edda")
    start_sending(make_issue("counted", newsletter))
    expand_audiences()
    Delivery.objects.filter(send__issue__slug="counted").update(state="accepted", delivered_at=now)
    for number, (state, code, values) in enumerate(
        (
            ("waiting", "", {}),
            ("waiting", "inbound_unavailable", {"detail": "503 service_unavailable: API is temporarily unavailable."}),
            ("refused", "other_domain", {"domain": "other.example"}),
            ("refused", "too_large", {"megabytes": 10}),
        )
    ):
        ReportMail.objects.create(
            provider="resend", mail_id=f"mail-{number}", sender_domain="dmarc-reports.harbour.example",
            received_at=now, state=state, code=code, values=values, finished_at=now if state == "refused" else None,
        )  # fmt: skip


def brand_pages(newsletter: Newsletter) -> dict[str, str]:
    """A brand whose color is hard to read, and public pages in brands with a large name and with a dark band."""
    accent = {"accent": "#c98a3a", "tagline": "Ships, weather and craft", "writer": "Ada Meyer"}
    Brand.objects.create(newsletter=newsletter, is_exact=True, **accent)
    gazette = make_newsletter(slug="gazette", name="The Quay Gazette", theme="gazette")
    Brand.objects.create(newsletter=gazette, paper="warm", **accent)
    bench = make_newsletter(slug="bench", name="The Bench", theme="workbench")
    Brand.objects.create(newsletter=bench, heading_font="slab-serif", **accent)
    return {
        "brand": f"{reverse('brand')}?newsletter={newsletter.pk}",
        "brand-corrected": f"{reverse('brand')}?newsletter={gazette.pk}",
        "public-gazette": reverse("newsletter", args=[gazette.slug]),
        "public-bench": reverse("subscribe", args=[bench.slug]),
    }


def link_pages() -> dict[str, str]:
    """The report of an issue with links, two of its links, and the page of a disabled one."""
    newsletter = own_links(slug="clicks", name="Clicks")
    send = send_to("ada@example.org", newsletter=newsletter, slug="clicked")
    first, second = (link["url"] for link in numbered_links(Edition.objects.get(pk=send.edition_id))[:2])
    disable_address(send.issue, first, by="edda", text="The site was hacked.")
    enable_address(send.issue, first, by="max")
    disable_address(send.issue, first, by="edda", text="It was hacked again.")
    assert first != second
    path = EditionSigner(send.edition_id).url(FIRST_LINK)
    return {
        "report-links": admin_url("newsletter_issue_report", send.issue_id),
        "link-disabled": admin_url("newsletter_issue_report_links", send.issue_id, FIRST_LINK),
        "link": admin_url("newsletter_issue_report_links", send.issue_id, FIRST_LINK + 1),
        "link-followed": path.removeprefix("http://127.0.0.1:8000"),
    }


def overview_pages(newsletter: Newsletter) -> dict[str, str]:
    """The first page with sends and a growth of ninety days, its chart as a table, the page of growth, and lists."""
    now = timezone.now()
    for number in range(7):
        at = now - datetime.timedelta(days=7 * number + 1)
        send = start_sending(make_issue(f"week-{number}", title=f"Week {number}: what the harbour master wrote"))
        counts = {"audience": 1_000, "state.accepted": 990 - number, "reached": 985 - 3 * number}
        counts |= {"place.reached": 985 - 3 * number}
        counts |= {"event.clicked": 90 + 7 * number % 40, "event.complained": number % 2}
        SendCount.objects.bulk_create(SendCount(send=send, name=name, value=value) for name, value in counts.items())
        if number:
            Send.objects.filter(pk=send.pk).update(started_at=at, expanded_at=at)
            send.refresh_from_db()
            send.move(SendState.SENT, by="edda", finished_at=at)
        else:
            Send.objects.filter(pk=send.pk).update(expanded_at=now)
    start_sending(make_issue("expanded", title="Harbour notes for everyone"))
    expand_audiences()
    Event.objects.bulk_create(
        Event(provider="resend", event_id=f"msg_{number}", kind="email.sent", body="{}") for number in range(60)
    )
    make_issue("draft", title="Quiet engines")
    schedule_send(make_issue("planned", title="Winter reading special"))
    today = now.astimezone(datetime.UTC).date()
    SubscriptionCount.objects.filter(mailing_list=newsletter).exclude(day="").delete()
    SubscriptionCount.objects.filter(mailing_list=newsletter, day="", name="active").update(value=12_412)
    SubscriptionCount.objects.bulk_create(
        SubscriptionCount(
            mailing_list=newsletter,
            day=str(today - datetime.timedelta(days=day)),
            name=name,
            value=1 + day * step % most,
        )
        for day in range(120)
        for name, step, most in (("joined", 7, 31), ("left", 3, 5), ("suppressed", 5, 4), ("requested", 11, 23))
    )
    growth = reverse("growth")
    lists = {name: admin_url(f"newsletter_{name}_changelist") for name in ("delivery", "event", "send")}
    return {
        "overview": reverse("admin:index"),
        "overview-table": f"{reverse('admin:index')}?growth=12m&table=1",
        "growth": growth,
        "growth-months": f"{growth}?by=month&list={newsletter.pk}",
        **{f"list-{name}": url for name, url in lists.items()},
        "deliveries-filtered": f"{lists['delivery']}?state__exact=failed",
    }
