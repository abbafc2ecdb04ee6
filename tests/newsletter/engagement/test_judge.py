"""Judging stored hits: in any pieces and any order the same verdicts, counters and times; a crash changes nothing."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.config import failpoints
from newsletter.config.failpoints import Action, Crash, Failpoint, Point
from newsletter.engagement import rules
from newsletter.engagement.judge import judge_hits
from newsletter.engagement.rebuild import Rebuilt, rebuild_all
from newsletter.models import (
    CANARY_EARLY,
    FIRST_LINK,
    OPEN,
    ConsentMode,
    Delivery,
    EngagementCounter,
    Hit,
    HitMethod,
    Send,
    Verdict,
)
from newsletter.privacy.retention import HITS
from newsletter.reports.engagement import (
    clicks_by_hour,
    hits_by_rule,
    links_of,
    opens_of,
    rules_versions,
    top_links,
)
from newsletter.worker.steps import STEPS
from subscribers.models import RetentionProgress, Subscription
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.registry import find_data_subject
from tests.newsletter.engagement.sent import BO, delivery_of, edition_of, own_links, send_to
from tests.people import ADA

START = timezone.now().replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=3)


def at(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


def hit(send: Send, seconds: float, number: int, delivery: int | None = None, **fields: Any) -> Hit:
    """A hit that waits to be judged."""
    values: dict[str, Any] = {
        "edition_id": send.edition_id,
        "at": at(seconds),
        "number": number,
        "method": HitMethod.GET,
        "delivery_id": delivery,
        "network": "home",
        "agent": "chrome windows",
    }
    return Hit(**values | fields)


def store(*hits: Hit) -> None:
    Hit.objects.bulk_create(hits)


def judge_all(limit: int = 1000) -> None:
    while judge_hits(limit):
        pass


def rules_of(send: Send) -> list[str]:
    return list(Hit.objects.filter(edition=send.edition_id).order_by("at", "pk").values_list("rule", flat=True))


def counters() -> dict[tuple[int, int, str], tuple[int, int]]:
    """Hits and visitors by number, hour of the test and verdict, without those that are zero."""
    return {
        (row.number, int((row.hour - START).total_seconds() // 3600), row.verdict): (row.hits, row.visitors)
        for row in EngagementCounter.objects.all()
        if row.hits or row.visitors
    }


def state() -> tuple[list[Any], Any, list[Any]]:
    """Everything that judging writes, without keys."""
    hits = Hit.objects.order_by("at", "number", "delivery_id", "visitor", "network", "agent")
    verdicts = hits.values_list("at", "number", "delivery_id", "visitor", "verdict", "rule", "is_first")
    times = Delivery.objects.order_by("pk").values_list("opened_at", "clicked_at")
    return list(verdicts), counters(), list(times)


@pytest.fixture
def send(db: None) -> Send:
    return send_to(ADA, BO, newsletter=own_links(measures_opens=True))


@pytest.fixture
def ada(send: Send) -> int:
    return delivery_of(ADA, send).pk


def test_the_worker_judges() -> None:
    assert [step.run for step in STEPS if step.name == "judge_hits"] == [judge_hits]


def test_without_hits_judging_is_one_query(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert not judge_hits()


def test_a_click_of_a_person_is_counted_and_sets_the_time(send: Send, ada: int) -> None:
    store(hit(send, 100, FIRST_LINK, ada), hit(send, 4000, FIRST_LINK, ada), hit(send, 90, OPEN, ada))
    judge_all()
    assert counters() == {
        (OPEN, 0, "human"): (1, 1),
        (FIRST_LINK, 0, "human"): (1, 1),
        (FIRST_LINK, 1, "human"): (1, 0),
    }
    row = Delivery.objects.get(pk=ada)
    assert (row.opened_at, row.clicked_at) == (at(90), at(100))
    assert set(Hit.objects.values_list("rules_version", "is_due")) == {(rules.RULES_VERSION, False)}


def test_a_sweep_that_arrives_later_takes_the_time_of_the_delivery_back(send: Send, ada: int) -> None:
    store(hit(send, 43, FIRST_LINK, ada))
    judge_all()
    assert Delivery.objects.get(pk=ada).clicked_at == at(43)
    store(hit(send, 43.5, FIRST_LINK + 1, ada), hit(send, 44, FIRST_LINK + 2, ada))
    judge_all()
    assert rules_of(send) == ["sweep"] * 3
    assert Delivery.objects.get(pk=ada).clicked_at is None
    assert counters() == {(FIRST_LINK + place, 0, "machine"): (1, 1) for place in range(3)}
    store(hit(send, 9000, FIRST_LINK, ada))
    judge_all()
    assert Delivery.objects.get(pk=ada).clicked_at == at(9000)


@pytest.mark.parametrize("earlier", [at(-50), at(9000)])
def test_a_time_from_before_hits_were_kept_stays(send: Send, ada: int, earlier: datetime.datetime) -> None:
    Delivery.objects.filter(pk=ada).update(clicked_at=earlier)
    store(hit(send, 43, FIRST_LINK, ada, agent="machine"))
    judge_all()
    assert Delivery.objects.get(pk=ada).clicked_at == earlier
    store(hit(send, 100, FIRST_LINK, ada))
    judge_all()
    assert Delivery.objects.get(pk=ada).clicked_at == min(earlier, at(100))


def test_without_consent_visitors_are_told_apart_by_their_hash(send: Send) -> None:
    sweep = [hit(send, 50 + place / 5, FIRST_LINK + place, visitor="scanner") for place in range(3)]
    store(*sweep, hit(send, 51, FIRST_LINK, visitor="person", network="other"))
    judge_all()
    assert rules_of(send).count("sweep") == 3
    assert counters()[FIRST_LINK, 0, "human"] == (1, 1)
    assert not Delivery.objects.filter(clicked_at__isnull=False).exists()


def sweep_of(send: Send, visitor: str, seconds: float, network: str = "scanner") -> list[Hit]:
    return [
        hit(send, seconds + place / 5, FIRST_LINK + place, visitor=visitor, network=network, agent="safari mac")
        for place in range(3)
    ]


def test_the_fifth_swept_visit_voids_the_other_hits_of_its_network(send: Send, ada: int) -> None:
    near, far = hit(send, 400, FIRST_LINK, ada, network="scanner"), hit(send, 5000, FIRST_LINK, ada, network="scanner")
    store(near, far, *(one for number in range(4) for one in sweep_of(send, f"v{number}", 43 + number)))
    judge_all()
    assert Delivery.objects.get(pk=ada).clicked_at == at(400)
    store(*sweep_of(send, "v4", 3000))
    judge_all()
    found = dict(Hit.objects.filter(delivery_id=ada).values_list("at", "rule"))
    assert found == {at(400): "network-sweep", at(5000): "human"}
    assert Delivery.objects.get(pk=ada).clicked_at == at(5000)
    store(*sweep_of(send, "v5", 5100))
    judge_all()
    assert Delivery.objects.get(pk=ada).clicked_at is None


def test_one_visit_that_is_swept_often_is_one(send: Send, ada: int) -> None:
    store(*(one for number in range(9) for one in sweep_of(send, "same", 43 + 100 * number)))
    store(hit(send, 400, FIRST_LINK, ada, network="scanner"))
    judge_all()
    assert Hit.objects.get(delivery_id=ada).rule == "human"


def test_a_network_that_sweeps_another_issue_voids_nothing_here(send: Send, ada: int) -> None:
    other = send_to(ADA, newsletter=send.issue.newsletter, slug="issue-2")
    store(*(one for number in range(6) for one in sweep_of(other, f"v{number}", 43)))
    store(hit(send, 60, FIRST_LINK, ada, network="scanner"))
    judge_all()
    assert Hit.objects.get(delivery_id=ada).rule == "human"


def crowd(send: Send, domain: str, count: int) -> list[int]:
    """Deliveries to so many subscribers of a mail domain."""
    addresses = [f"p{number}@{domain}" for number in range(count)]
    later = send_to(*addresses, newsletter=send.issue.newsletter, slug=f"to-{domain.partition('.')[0]}")
    theirs = Delivery.objects.filter(send=later).exclude(subscriber__canonical__in=[ADA, BO])
    return list(theirs.order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize(("domain", "rule"), [("firm.example", "domain-burst"), ("gmail.com", "human")])
def test_a_mail_domain_that_follows_one_link_at_once_is_a_machine(send: Send, domain: str, rule: str) -> None:
    deliveries = crowd(send, domain, 20)
    later = Delivery.objects.get(pk=deliveries[0]).send
    hits = [
        hit(later, 60 + number, FIRST_LINK, delivery, network=f"n{number}")
        for number, delivery in enumerate(deliveries[:12])
    ]
    late = hit(later, 7000, FIRST_LINK, deliveries[0], network="n0")
    for one in (*hits, late):
        store(one)
        judge_all()
    assert rules_of(later) == [rule] * 12 + ["human"]


def test_nine_colleagues_who_follow_one_link_at_once_are_people(send: Send) -> None:
    deliveries = crowd(send, "firm.example", 20)
    later = Delivery.objects.get(pk=deliveries[0]).send
    store(
        *(hit(later, 60 + number, FIRST_LINK, key, network=f"n{number}") for number, key in enumerate(deliveries[:9]))
    )
    judge_all()
    assert set(rules_of(later)) == {"human"}


@pytest.mark.parametrize("point", [Point.HITS_UNCOMMITTED, Point.HITS_COMMITTED])
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_judging_loses_and_repeats_no_count(point: Point) -> None:
    send = send_to(ADA, newsletter=own_links())
    ada = delivery_of(ADA, send).pk
    store(hit(send, 100, FIRST_LINK, ada), *sweep_of(send, "v", 43))
    failpoints.arm(Failpoint(point=point, hit=1, action=Action.RAISE))
    try:
        with pytest.raises(Crash):
            judge_hits()
    finally:
        failpoints.arm(None)
    is_lost = point is Point.HITS_UNCOMMITTED
    assert Hit.objects.filter(is_due=True).count() == (4 if is_lost else 0)
    assert bool(counters()) == (not is_lost)
    assert (Delivery.objects.get(pk=ada).clicked_at is None) == is_lost
    judge_all()
    assert sum(hits for hits, _visitors in counters().values()) == 4
    assert Delivery.objects.get(pk=ada).clicked_at == at(100)


def test_a_thousand_hits_take_few_queries(send: Send, ada: int, django_assert_max_num_queries: Any) -> None:
    store(*(hit(send, number, FIRST_LINK, visitor=f"v{number}", network=f"n{number}") for number in range(900)))
    with django_assert_max_num_queries(40):
        judge_hits()
    assert sum(hits for hits, _visitors in counters().values()) == 900


def test_rebuilding_changes_nothing(send: Send, ada: int) -> None:
    store(
        hit(send, 100, FIRST_LINK, ada),
        hit(send, 90, OPEN, ada, agent="google proxy"),
        hit(send, 400, FIRST_LINK + 1, ada, network="scanner"),
        *(one for number in range(6) for one in sweep_of(send, f"v{number}", 43 + number)),
        hit(send, 41, CANARY_EARLY, visitor="v1", network="scanner"),
    )
    judge_all(limit=3)
    before = state()
    assert rebuild_all() == Rebuilt(judged=1)
    assert state() == before
    call_command("rebuild_engagement")
    assert state() == before


def test_a_changed_rule_moves_the_verdicts_of_that_rule_only(
    send: Send, ada: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(*(hit(send, 100 + place, FIRST_LINK + place, ada) for place in range(3)))
    store(hit(send, 200, FIRST_LINK, delivery_of(BO, send).pk, agent="machine"))
    judge_all()
    assert Delivery.objects.get(pk=ada).clicked_at is None
    monkeypatch.setattr(rules, "SWEEPS", ())
    rebuild_all()
    assert rules_of(send) == ["human"] * 3 + ["named-agent"]
    assert Delivery.objects.get(pk=ada).clicked_at == at(100)
    monkeypatch.undo()
    rebuild_all()
    assert rules_of(send) == ["sweep"] * 3 + ["named-agent"]
    assert Delivery.objects.get(pk=ada).clicked_at is None


def purge(name: str, now: datetime.datetime) -> int:
    (rule,) = [each for each in HITS if each.name == name]
    return rule.purge(now)


def test_raw_data_is_removed_and_verdicts_and_counts_stay(send: Send, ada: int) -> None:
    store(*(hit(send, 100 + place, FIRST_LINK + place, ada) for place in range(3)))
    store(*sweep_of(send, "v", 43), hit(send, 5000, FIRST_LINK, ada))
    judge_all()
    before = state()
    assert purge("visitors", at(4000)) == 6
    assert not Hit.objects.exclude(visitor="").exists()
    assert Hit.objects.filter(delivery_id=ada).exclude(network="").count() == 4, "kept longer with consent"
    assert purge("networks", at(4000)) == 6
    assert Hit.objects.exclude(network="").count() == 1
    assert not Hit.objects.filter(at__lt=at(4000)).exclude(agent="").exists()
    assert rebuild_all() == Rebuilt(counted=1)
    assert (state()[1], state()[2]) == before[1:]
    store(hit(send, 6000, FIRST_LINK + 2, ada))
    judge_all()
    assert rules_of(send).count("sweep") == 6


def test_hits_that_wait_to_be_judged_are_not_cleared(send: Send, ada: int) -> None:
    store(hit(send, 100, FIRST_LINK, ada))
    assert purge("networks", at(9000)) == 0
    judge_all()
    assert purge("networks", at(9000)) == 1


def test_deleted_hits_leave_their_counts(send: Send, ada: int) -> None:
    store(hit(send, 100, FIRST_LINK, ada))
    judge_all()
    before = counters()
    assert purge("hits", at(9000)) == 1
    assert RetentionProgress.objects.get(name="hits").last_pk
    assert not Hit.objects.exists()
    assert counters() == before
    with connection.cursor() as cursor:
        old = timezone.now() - datetime.timedelta(days=400)
        cursor.execute("UPDATE newsletter_edition SET created_at = %s", [old])
    assert rebuild_all() == Rebuilt(kept=1)
    assert counters() == before


def test_an_erased_subscriber_leaves_counts_and_no_delivery(send: Send, ada: int) -> None:
    store(*(hit(send, 100 + place, FIRST_LINK + place, ada) for place in range(3)))
    judge_all()
    before = counters()
    erase_data_subject(find_data_subject(ADA))
    assert set(Hit.objects.values_list("delivery_id", "network", "agent", "is_sealed")) == {(None, "", "", True)}
    assert counters() == before
    assert rebuild_all() == Rebuilt(counted=1)
    assert counters() == before
    assert not Subscription.objects.filter(subscriber__canonical=ADA).exists()


def test_a_hit_that_waited_while_its_subscriber_was_erased_is_judged_alone(send: Send, ada: int) -> None:
    store(hit(send, 100, FIRST_LINK, ada))
    erase_data_subject(find_data_subject(ADA))
    judge_all()
    assert counters() == {(FIRST_LINK, 0, "human"): (1, 1)}


@pytest.mark.parametrize(
    "change",
    [
        {"at": at(1)},
        {"number": 99},
        {"network": "other"},
        {"agent": "safari mac"},
        {"delivery_id": 7},
        {"method": "event"},
    ],
    ids=str,
)
def test_what_a_hit_says_never_changes(send: Send, ada: int, change: dict[str, Any]) -> None:
    store(hit(send, 100, FIRST_LINK, ada))
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Hit.objects.update(**change)
    Hit.objects.update(network="", agent="", delivery_id=None, verdict=Verdict.HUMAN, is_due=False)


def test_the_report_has_links_in_order_and_two_numbers(send: Send, ada: int) -> None:
    bo = delivery_of(BO, send).pk
    store(
        hit(send, 100, FIRST_LINK + 1, ada),
        hit(send, 4000, FIRST_LINK + 1, ada),
        hit(send, 100, FIRST_LINK + 1, bo),
        hit(send, 200, FIRST_LINK, bo),
        hit(send, 300, FIRST_LINK + 2, ada, agent="machine"),
        hit(send, 10, OPEN, ada, agent="apple proxy", network_class="apple"),
        hit(send, 20, OPEN, bo, agent="google proxy"),
        hit(send, 21, OPEN, bo, agent="google proxy"),
    )
    judge_all()
    edition = edition_of(send)
    links = links_of(edition)
    assert [(link.place, link.humans, link.human_hits, link.all_hits) for link in links] == [
        ("Deep dives, story 1", 1, 1, 1),
        ("Deep dives, story 2", 2, 3, 3),
        ("Deep dives, story 3", 0, 0, 1),
    ]
    assert links[0].url == "https://harbour.example/cranes/1"
    assert [link.number - FIRST_LINK for link in top_links(edition)] == [1, 0]
    assert len(top_links(edition, 1)) == 1
    opens = opens_of(edition)
    assert (opens.humans, opens.by_proxy, opens.unsure, opens.all_hits) == (2, 1, 0, 3)
    assert list(clicks_by_hour(edition).values()) == [(3, 4), (1, 1)]
    assert hits_by_rule(edition) == {"named-agent": 1, "apple-proxy": 1, "image-proxy": 2, "human": 4}
    assert rules_versions(edition) == [rules.RULES_VERSION]


numbers = itertools.count(1)

LOGS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 1.5, 2, 300, 301, 302, 900, 901, 4000]),
        st.sampled_from([OPEN, CANARY_EARLY, FIRST_LINK, FIRST_LINK + 1, FIRST_LINK + 2]),
        st.sampled_from(["ada", "bo", *(f"v{number}" for number in range(7))]),
        st.sampled_from(["scanner", "scanner", "home"]),
        st.sampled_from(["chrome windows", "safari iphone", "machine"]),
    ),
    max_size=40,
)


class AnyOrder(TestCase):
    """The same hits give the same verdicts, counters and times, in any order, pieces, and again."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LOGS, st.randoms(use_true_random=False))
    def test_what_is_judged_depends_on_the_hits_and_not_on_their_order(self, log: list[Any], random: Any) -> None:
        found = []
        newsletter = own_links(ConsentMode.CONSENT)
        for is_shuffled in (False, True):
            send = send_to(ADA, BO, newsletter=newsletter, slug=f"issue-{next(numbers)}")
            keys = {"ada": delivery_of(ADA, send).pk, "bo": delivery_of(BO, send).pk}
            rows = list(dict.fromkeys(log))
            if is_shuffled:
                random.shuffle(rows)
            for seconds, number, who, network, agent in rows:
                visitor = "" if who in keys else who
                store(hit(send, seconds, number, keys.get(who), visitor=visitor, network=network, agent=agent))
                if is_shuffled and random.random() < 0.4:
                    judge_all(limit=random.choice([1, 2, 1000]))
            judge_all()
            if is_shuffled:
                rebuild_all()
            names = {pk: name for name, pk in keys.items()}
            of_send = Hit.objects.filter(edition=send.edition_id)
            verdicts = sorted(
                (row.at, row.number, names.get(row.delivery_id or 0, row.visitor), row.network, row.agent, row.rule)
                for row in of_send
            )
            rows_of = EngagementCounter.objects.filter(edition=send.edition_id).exclude(hits=0, visitors=0)
            counted = sorted(rows_of.values_list("number", "hour", "verdict", "hits", "visitors"))
            deliveries = Delivery.objects.filter(pk__in=keys.values()).order_by("subscriber__canonical")
            times = list(deliveries.values_list("opened_at", "clicked_at"))
            found.append((verdicts, counted, times))
        assert found[0] == found[1]
