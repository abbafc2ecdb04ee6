"""The rules: synthetic logs of scanners, proxies and people, each with its verdict and the rule that gave it."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.engagement import rules
from newsletter.engagement.rules import Fact, Judgement, find_bursts, judge
from newsletter.models import CANARY_EARLY, CANARY_LATE, OPEN, HitMethod, Verdict
from tests.newsletter.engagement.logs import (
    BARRACUDA,
    CHROME,
    CLOUD,
    CUBOT,
    GMAIL,
    HOME,
    IPHONE,
    OFFICE,
    SLACK,
    YAHOO,
    at,
    fact,
    judged,
    link,
    visit,
)

PERSON = ("human", "human")


def test_a_person_who_clicks_once_is_a_person() -> None:
    assert judged(fact(3600, link(2))) == [PERSON]


def test_a_filter_that_sweeps_all_links_43_seconds_after_the_delivery_is_a_machine() -> None:
    hits = [fact(43 + place / 20, link(place), network=CLOUD, network_class="microsoft") for place in range(10)]
    assert judged(*hits) == [("machine", "sweep")] * 10


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((0, 1, 2), "sweep"),
        ((0, 1, 2.1), "human"),
        ((0, 3, 5, 7, 10), "sweep"),
        ((0, 3, 5, 7, 10.1), "human"),
        ((0, 15, 30, 45), "human"),
        ((0, 7, 14, 21, 28, 35, 42, 60), "sweep"),
        ((0, 7, 14, 21, 28, 35, 42, 60.1), "human"),
    ],
    ids=str,
)
def test_three_links_in_two_seconds_five_in_ten_and_most_in_a_minute_are_a_sweep(
    seconds: tuple[float, ...], expected: str
) -> None:
    hits = [fact(3600 + second, link(place)) for place, second in enumerate(seconds)]
    assert {rule for _verdict, rule in judged(*hits)} == {expected}


def test_of_a_short_mail_four_links_in_a_minute_are_a_sweep() -> None:
    hits = [fact(3600 + 15 * place, link(place)) for place in range(4)]
    assert judged(*hits, links=5) == [("machine", "sweep")] * 4
    assert judged(*hits[:3], links=3) == [PERSON] * 3


def test_the_same_link_again_and_again_is_no_sweep() -> None:
    assert judged(*(fact(3600 + second / 10, link(1)) for second in range(12))) == [PERSON] * 12


def test_a_person_who_opens_three_links_in_tabs_one_by_one_is_a_person() -> None:
    assert judged(*(fact(3600 + 4 * place, link(place)) for place in range(3))) == [PERSON] * 3


def test_a_filter_that_says_its_name_and_follows_the_first_link_only_is_a_machine() -> None:
    assert judged(fact(20, link(0), BARRACUDA, CLOUD)) == [("machine", "named-agent")]


def test_a_canary_voids_the_other_hits_of_the_same_network_around_it() -> None:
    log = [
        fact(40, CANARY_EARLY, network=CLOUD),
        fact(44, link(0), IPHONE, CLOUD),
        fact(50, link(1), CHROME, OFFICE),
        fact(52, link(3), IPHONE, HOME),
        fact(40 + 601, link(2), network=CLOUD),
    ]
    assert judged(*log) == [("machine", "canary")] * 3 + [PERSON, PERSON]


def test_a_canary_voids_what_came_before_it() -> None:
    assert judged(fact(30, link(0)), fact(40, CANARY_LATE)) == [("machine", "canary")] * 2


def test_a_canary_does_not_void_hits_of_which_nothing_is_known() -> None:
    unknown = fact(40, link(0), None, "")
    assert judged(fact(41, CANARY_LATE, None, ""), unknown) == [PERSON, ("machine", "canary")]


@pytest.mark.parametrize("network_class", ["apple", "google"])
def test_a_canary_is_a_machine_whatever_its_network(network_class: str) -> None:
    assert judged(fact(4000, CANARY_EARLY, network_class=network_class)) == [("machine", "canary")]


def test_apples_proxy_opens_every_mail_and_counts_apart() -> None:
    for second in range(1000):
        assert judged(fact(second, OPEN, "Mozilla/5.0", "relay", network_class="apple")) == [("proxy", "apple-proxy")]
    assert judged(fact(5, OPEN, "Mozilla/5.0")) == [("unsure", "apple-proxy")]


def test_a_person_with_an_iphone_behind_apples_relay_clicks_once() -> None:
    hits = [
        fact(3, OPEN, "Mozilla/5.0", "relay", network_class="apple"),
        fact(90, link(4), IPHONE, "other-relay", network_class="apple"),
    ]
    assert judged(*hits) == [("proxy", "apple-proxy"), PERSON]


@pytest.mark.parametrize("agent", [GMAIL, YAHOO])
def test_the_proxies_of_gmail_and_yahoo_follow_a_person(agent: str) -> None:
    assert judged(fact(60, OPEN, agent, CLOUD, network_class="google")) == [("human", "image-proxy")]


def test_a_person_behind_the_exit_of_a_scanner_clicks_two_hours_later() -> None:
    sweeps = {OFFICE: [at(43)]}
    assert judged(fact(100, link(0), network=OFFICE), sweeps=sweeps) == [("machine", "network-sweep")]
    assert judged(fact(7200, link(0), network=OFFICE), sweeps=sweeps) == [PERSON]
    assert judged(fact(100, link(0), network=HOME), sweeps=sweeps) == [PERSON]


@pytest.mark.parametrize(("seconds", "expected"), [(-600, "network-sweep"), (600, "network-sweep"), (601, "human")])
def test_a_network_sweep_reaches_ten_minutes_before_and_after(seconds: float, expected: str) -> None:
    assert judged(fact(2000 + seconds, link(0)), sweeps={HOME: [at(2000)]})[0][1] == expected


def test_a_click_that_a_filter_checks_on_its_way_is_one_click() -> None:
    pair = [fact(3600, link(0), IPHONE, HOME), fact(3600.4, link(0), CHROME, CLOUD, network_class="microsoft")]
    assert judged(*pair) == [PERSON, ("machine", "same-link-pair")]
    first_is_filter = [replace(pair[1], at=at(3599.8)), pair[0]]
    assert judged(*first_is_filter) == [("machine", "same-link-pair"), PERSON]


def test_of_a_pair_from_two_homes_the_system_that_was_seen_before_stays() -> None:
    before, pair = fact(60, link(3), IPHONE), (fact(3600, link(0), CHROME, "x"), fact(3601, link(0), IPHONE, "y"))
    assert judged(before, *pair) == [PERSON, ("machine", "same-link-pair"), PERSON]
    assert judged(*pair) == [PERSON, ("machine", "same-link-pair")]


def test_the_same_link_twice_from_one_network_is_no_pair() -> None:
    assert judged(fact(3600, link(0)), fact(3601, link(0))) == [PERSON] * 2


def test_a_forwarded_mail_is_swept_again_and_the_first_reader_stays() -> None:
    sweep = [fact(9000 + place / 10, link(place), network=OFFICE) for place in range(6)]
    assert judged(fact(300, link(1), IPHONE), *sweep) == [PERSON] + [("machine", "sweep")] * 6


def test_a_link_pasted_into_a_chat_is_neither_a_person_nor_a_machine() -> None:
    assert judged(fact(300, link(1)), fact(360, link(1), SLACK, CLOUD)) == [PERSON, ("neither", "named-agent")]


def test_a_phone_called_cubot_is_a_phone() -> None:
    assert judged(fact(300, link(1), CUBOT)) == [PERSON]


def test_a_request_without_an_agent_is_a_machine_and_one_with_an_unknown_agent_is_not() -> None:
    assert judged(fact(300, link(1), " ")) == [("machine", "no-agent")]
    assert judged(fact(300, link(1), None)) == [PERSON]


def test_a_browser_that_fetches_ahead_is_no_click() -> None:
    assert judged(fact(300, link(1), method=HitMethod.PREFETCH)) == [("neither", "not-get")]


def test_what_the_provider_flags_is_a_machine_or_a_proxy() -> None:
    assert judged(fact(300, link(1), method=HitMethod.FLAGGED)) == [("machine", "provider-flag")]
    assert judged(fact(300, OPEN, method=HitMethod.FLAGGED)) == [("proxy", "provider-flag")]


@pytest.mark.parametrize(("seconds", "expected"), [(-5, "before-delivered"), (0.9, "before-delivered"), (1, "human")])
def test_a_hit_before_the_delivery_is_a_machine(seconds: float, expected: str) -> None:
    assert judged(fact(seconds, link(1)))[0][1] == expected


def test_a_hit_before_the_mail_was_accepted_is_a_machine() -> None:
    assert judged(fact(5, link(0)), delivered_at=None, accepted_at=at(6))[0][1] == "before-delivered"
    assert judged(fact(5, link(0)), delivered_at=None) == [PERSON]


def test_a_single_click_from_a_data_center_soon_after_the_delivery_is_unclear() -> None:
    cloud = fact(100, link(1), network=CLOUD, network_class="hosting")
    assert judged(cloud) == [("unsure", "cloud-first")]
    assert judged(replace(cloud, at=at(121))) == [PERSON]
    assert judged(replace(cloud, network_class="apple")) == [PERSON]
    assert judged(cloud, fact(5000, link(2))) == [PERSON, PERSON]
    assert judged(cloud, fact(5000, link(2), BARRACUDA)) == [("unsure", "cloud-first"), ("machine", "named-agent")]


def test_a_burst_of_a_mail_domain_on_one_link_is_a_machine() -> None:
    bursts = {link(0): [(at(100), at(130))]}
    hits = [fact(110, link(0)), fact(110, link(1)), fact(131, link(0))]
    assert [rule for _verdict, rule in judged(*hits, bursts=bursts)] == ["domain-burst", "human", "human"]


@pytest.mark.parametrize(
    ("deliveries", "size", "seconds", "found"),
    [(10, 30, 60, 1), (9, 10, 60, 0), (10, 34, 60, 0), (12, 40, 60, 1), (10, 30, 70, 0)],
)
def test_a_burst_takes_a_third_of_the_domain_and_ten_deliveries_within_a_minute(
    deliveries: int, size: int, seconds: float, found: int
) -> None:
    hits = [(at(seconds * number / (deliveries - 1)), number) for number in range(deliveries)]
    assert len(find_bursts(hits, size)) == found


def test_one_delivery_many_times_is_no_burst() -> None:
    assert find_bursts([(at(second), 1) for second in range(50)], 10) == []


def test_bursts_that_overlap_are_one() -> None:
    hits = sorted((at(number * 4), number) for number in range(60))
    assert find_bursts(hits, 30) == [(at(0), at(236))]


def test_the_first_rule_that_fits_decides() -> None:
    assert judged(fact(0, CANARY_EARLY, BARRACUDA)) == [("machine", "canary")]
    assert [name for name, _rule in rules.RULES][-1] == rules.HUMAN


def test_a_verdict_stays_when_what_it_came_from_has_been_removed() -> None:
    sealed = fact(300, link(1), None, "", sealed=Judgement(Verdict.MACHINE, rules.NETWORK_SWEEP))
    assert judged(sealed) == [("machine", "network-sweep")]


def test_each_person_counts_once_on_each_link() -> None:
    hits = visit(fact(100, link(0)), fact(5000, link(0)), fact(9000, link(1)), fact(9000, link(0), SLACK))
    assert [one.is_first for one in judge(hits)] == [True, False, True, True]


AGENTS = st.sampled_from([CHROME, IPHONE, CUBOT, None])
HITS = st.builds(
    fact,
    st.floats(0, 4000),
    st.sampled_from([OPEN, *(link(place) for place in range(10))]),
    AGENTS,
    st.sampled_from([HOME, OFFICE, CLOUD]),
    network_class=st.sampled_from(["", "hosting", "apple"]),
)
OWN_UP = st.builds(
    fact,
    st.floats(0, 4000),
    st.sampled_from([OPEN, *(link(place) for place in range(10))]),
    st.sampled_from([BARRACUDA, "curl/8.5.0", "", SLACK]),
    st.sampled_from([HOME, OFFICE, CLOUD]),
)


def humans(facts: list[Fact]) -> list[Fact]:
    given_visit = visit(*facts)
    return [
        one
        for one, judgement in zip(given_visit.facts, judge(given_visit), strict=True)
        if judgement.verdict is Verdict.HUMAN
    ]


@given(st.lists(HITS, max_size=15), st.lists(OWN_UP, max_size=15))
def test_programs_that_say_so_change_nothing_about_people(log: list[Fact], programs: list[Fact]) -> None:
    assert sorted(humans(log), key=repr) == sorted(humans([*log, *programs]), key=repr)


@given(st.lists(HITS, max_size=15), st.integers(0, 9))
def test_one_click_of_a_person_at_a_quiet_time_counts_one(log: list[Fact], place: int) -> None:
    quiet = fact(20_000, link(place), IPHONE, "quiet")
    before, after = len(humans(log)), len(humans([*log, quiet]))
    unsure = [one for one in judge(visit(*log)) if one.verdict is Verdict.UNSURE]
    # A later click tells that a single one from a data center was a person's, too.
    assert after == before + 1 + len([one for one in unsure if one.rule == rules.CLOUD_FIRST])


@given(st.lists(HITS, min_size=1, max_size=15))
def test_every_hit_has_one_verdict_of_a_known_rule(log: list[Fact]) -> None:
    names = {name for name, _rule in rules.RULES}
    judgements = judge(visit(*log))
    assert len(judgements) == len(log)
    assert {one.rule for one in judgements} <= names


def test_a_changed_constant_moves_verdicts_of_that_rule_only(monkeypatch: pytest.MonkeyPatch) -> None:
    log = [
        *(fact(3600 + place, link(place)) for place in range(3)),
        fact(3800, link(5), BARRACUDA),
        fact(9000, link(7)),
    ]
    before = judged(*log)
    monkeypatch.setattr(rules, "SWEEPS", ((3, datetime.timedelta(seconds=1)),))
    after = judged(*log)
    assert [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]] == [
        (("machine", "sweep"), PERSON)
    ] * 3
