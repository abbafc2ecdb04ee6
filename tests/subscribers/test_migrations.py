"""The upgrade from earlier versions keeps every row and turns stored sentences into codes."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction
from django.utils import timezone

from subscribers.models import (
    CohortCount,
    Consent,
    MailingList,
    Subscription,
    SuppressionReason,
    TransactionalMail,
    rebuild_cohort_counts,
)
from subscribers.models import TransactionalMailReason as Reason
from tests.old_schema import schema_of, upgrade

pytestmark = [pytest.mark.upgrade, pytest.mark.django_db(transaction=True)]

BEFORE = (("newsletter", "0009_room_for_outcomes"), ("subscribers", "0004_time_zone"))

#: State, stored sentence → reason code, detail.
SENTENCES = [
    ("sent", "", "", ""),
    ("withdrawn", "A newer mail asks the same.", Reason.SUPERSEDED, ""),
    ("withdrawn", "The person has left since.", Reason.NOT_SUBSCRIBED, ""),
    ("failed", "The provider does not know the domain.", Reason.REFUSED, "The provider does not know the domain."),
    ("pending", "The provider asks to wait.", Reason.UNAVAILABLE, "The provider asks to wait."),
    ("pending", "The connection to the mail server failed (TimeoutError).", Reason.CONNECTION_FAILED, "TimeoutError"),
    (
        "unknown",
        "The mail backend failed in an unexpected way (KeyError). Tried for 23 hours; it may have arrived or not.",
        Reason.BACKEND_ERROR,
        "KeyError",
    ),
    (
        "unknown",
        "No attempt was finished within 23 hours; it may have arrived or not.",
        Reason.NOT_FINISHED,
        "",
    ),
    ("withdrawn", "A sentence of a fork.", Reason.OTHER, "A sentence of a fork."),
]


@pytest.fixture
def old_models() -> Iterator[Callable[[str], Any]]:
    """The models of `subscribers` before the upgrade."""
    with schema_of(*BEFORE) as models:
        yield lambda name: models(f"subscribers.{name}")


def make_subscription(old_models: Callable[[str], Any], language: str = "en") -> Any:
    mailing_list = old_models("MailingList").objects.create(
        name=f"Harbour {language}",
        slug=language.lower(),
        sender_name="H",
        sender_email="h@x.example",
        language=language,
    )
    subscriber, _ = old_models("Subscriber").objects.get_or_create(address="Ada@x.example", canonical="ada@x.example")
    return old_models("Subscription").objects.create(
        mailing_list=mailing_list, subscriber=subscriber, state="active", confirmed_at=timezone.now()
    )


def test_notices_become_transactional_mails_with_reason_codes(old_models: Callable[[str], Any]) -> None:
    subscription = make_subscription(old_models)
    for number, (state, sentence, _reason, _detail) in enumerate(SENTENCES):
        old_models("Notice").objects.create(
            kind="confirmation",
            subscription=subscription,
            recipient="Ada@x.example",
            subject=str(number),
            idempotency_key=f"notice:{number}",
            state=state,
            reason=sentence,
            headers={"X": "y"},
        )
    upgrade()
    stored = TransactionalMail.objects.order_by("pk").values_list("subject", "state", "reason", "detail")
    assert list(stored) == [
        (str(number), state, reason, detail) for number, (state, _, reason, detail) in enumerate(SENTENCES)
    ]
    mail = TransactionalMail.objects.earliest("pk")
    assert (mail.subscription_id, mail.idempotency_key, mail.headers) == (subscription.pk, "notice:0", {"X": "y"})
    with pytest.raises(IntegrityError, match="transactional_mail"), transaction.atomic():
        TransactionalMail.objects.update(state="lost")


def test_consents_keep_their_mail_and_are_append_only_again(old_models: Callable[[str], Any]) -> None:
    subscription = make_subscription(old_models)
    text = old_models("ConsentText").objects.create(
        sha256=hashlib.sha256(b"t").hexdigest(), form="signup", version="1", text="You ask."
    )
    notice = old_models("Notice").objects.create(
        kind="confirmation", subscription=subscription, recipient="a", idempotency_key="n"
    )
    common = {"subscription": subscription, "list_name": "Harbour", "address": "Ada@x.example"}
    old_models("Consent").objects.create(**common, kind="requested", form="signup", text=text, notice=notice)
    old_models("Consent").objects.create(**common, kind="unsubscribed", form="admin", detail="By ida, in the admin.")
    old_models("Consent").objects.create(
        **common, kind="suppressed", form="suppression", detail="Reported a mail as spam"
    )
    upgrade()
    requested, unsubscribed, suppressed = Consent.objects.order_by("pk")
    assert requested.transactional_mail is not None
    assert requested.transactional_mail.idempotency_key == "n"
    assert requested.text is not None
    assert requested.text.text == "You ask."
    assert (unsubscribed.by, unsubscribed.reason, unsubscribed.detail) == ("ida", "", "")
    assert (suppressed.by, suppressed.reason, suppressed.detail) == ("", SuppressionReason.COMPLAINT, "")
    for changes in ({"reason": "manual"}, {"by": "someone"}):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            Consent.objects.update(**changes)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Consent.objects.all()._raw_delete("default")
    Consent.objects.update(by="", transactional_mail=None)


def test_languages_with_a_region_become_one_of_the_four(old_models: Callable[[str], Any]) -> None:
    for language in ("en", "de-AT", "pt-BR", "ES"):
        make_subscription(old_models, language)
    upgrade()
    assert set(MailingList.objects.values_list("language", flat=True)) == {"en", "de", "pt-BR", "es"}
    assert Subscription.objects.count() == 4


def test_cohorts_begin_with_the_subscriptions_that_are_there(transactional_db: None) -> None:
    with schema_of(("newsletter", "0027_report"), ("subscribers", "0011_bounce_reasons")) as models:
        mailing_list = models("subscribers.MailingList").objects.create(
            name="Harbour", slug="harbour", sender_name="H", sender_email="h@x.example"
        )
        moments = {month: datetime.datetime(2025, month, 15, tzinfo=datetime.UTC) for month in (1, 6)}
        ran = models("subscribers.Import").objects.create(
            mailing_list=mailing_list, file_name="a", size=1, sha256="", started_at=moments[6]
        )
        for number, fields in enumerate(
            (
                {"state": "active", "confirmed_at": moments[1], "source": "fair"},
                {"state": "unsubscribed", "confirmed_at": moments[1], "ended_at": moments[6], "source": "fair"},
                {"state": "active", "confirmed_at": moments[1], "import_pk": ran.pk, "source": "import"},
                {"state": "unsubscribed", "confirmed_at": moments[1], "ended_at": moments[6], "import_pk": ran.pk},
                {"state": "pending"},
                {"state": "suppressed"},
            )
        ):
            owner = models("subscribers.Subscriber").objects.create(address=str(number), canonical=str(number))
            models("subscribers.Subscription").objects.create(subscriber=owner, mailing_list=mailing_list, **fields)
        upgrade()
        found = CohortCount.objects.since([mailing_list.pk], "")
        assert found == {("2025-01", "fair"): {"joined": 2, "lost_6": 1}, ("2025-06", "import"): {"joined": 1}}
        assert rebuild_cohort_counts() == []


@pytest.mark.usefixtures("old_models")
def test_permissions_for_notices_become_those_for_transactional_mails() -> None:
    notices = ContentType.objects.create(app_label="subscribers", model="notice")
    Permission.objects.create(content_type=notices, codename="view_notice", name="Can view notice")
    upgrade()
    assert Permission.objects.filter(codename="view_transactionalmail").count() == 1
    assert not Permission.objects.filter(codename="view_notice").exists()
