"""Failpoints: they do nothing unless one is armed, which only an installation for tests allows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from newsletter.config.configuration import Configuration
from newsletter.config.environment import ConfigurationError, read_configuration
from newsletter.config.failpoints import Action, Crash, Failpoint, Point, arm, failpoint, read_failpoint

GOOD = {
    "SITE_URL": "http://127.0.0.1:8000",
    "SECRET_KEY": "tests-only-" + "k" * 50,
    "SUPPRESSION_SECRET": "tests-only-" + "s" * 32,
    "ENVIRONMENT": "test",
    "FAILPOINT": "claim-committed:3:kill",
}


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm(None)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in Configuration.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_process_without_a_failpoint_passes_every_point() -> None:
    for point in Point:
        failpoint(point)


def test_a_failpoint_triggers_at_the_given_time_and_only_once() -> None:
    arm(read_failpoint("claim-committed:3:raise"))
    failpoint(Point.CLAIM_COMMITTED)
    failpoint(Point.CLAIM_COMMITTED)
    failpoint(Point.ANSWER_READ)
    with pytest.raises(Crash, match="claim-committed"):
        failpoint(Point.CLAIM_COMMITTED)
    failpoint(Point.CLAIM_COMMITTED)


def test_a_crash_is_not_caught_by_handlers_of_ordinary_errors() -> None:
    assert not issubclass(Crash, Exception)


def test_several_processes_can_share_a_count() -> None:
    shared = itertools.count(7).__next__
    arm(Failpoint(point=Point.ANSWER_READ, hit=8, action=Action.RAISE, count=shared))
    failpoint(Point.ANSWER_READ)
    with pytest.raises(Crash):
        failpoint(Point.ANSWER_READ)


@pytest.mark.parametrize("text", ["claim", "claim-committed:x:kill", "claim-committed:0:kill", "answer-read:1:explode"])
def test_an_invalid_failpoint_is_refused(text: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("FAILPOINT", text)
    with pytest.raises(ConfigurationError) as caught:
        read_configuration()
    assert caught.value.errors[0].startswith("FAILPOINT: ")


def test_an_installation_for_tests_may_set_a_failpoint(environment: pytest.MonkeyPatch) -> None:
    assert read_configuration().failpoint == "claim-committed:3:kill"


@pytest.mark.parametrize(
    ("name", "value"), [("ENVIRONMENT", "production"), ("PROVIDER", "resend"), ("PROVIDER", "smtp")]
)
def test_an_installation_with_real_subscribers_cannot_set_a_failpoint(
    name: str, value: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        read_configuration()
    assert any("FAILPOINT: is for tests" in error for error in caught.value.errors)
