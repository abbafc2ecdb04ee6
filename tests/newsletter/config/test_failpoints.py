"""The failpoint: nothing happens unless a process is armed, and only an installation of tests can be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from newsletter.config.configuration import Configuration
from newsletter.config.environment import ConfigurationError, read_configuration
from newsletter.config.failpoints import Action, Crash, Failpoint, Point, arm, reached, read_failpoint

GOOD = {
    "SITE_URL": "http://127.0.0.1:8000",
    "SECRET_KEY": "k" * 50,
    "SUPPRESSION_SECRET": "s" * 32,
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


def test_a_process_that_is_not_armed_passes_every_point() -> None:
    for point in Point:
        reached(point)


def test_the_third_time_at_its_point_ends_the_step_and_the_fourth_does_not() -> None:
    arm(read_failpoint("claim-committed:3:raise"))
    reached(Point.CLAIM_COMMITTED)
    reached(Point.CLAIM_COMMITTED)
    reached(Point.ANSWER_READ)
    with pytest.raises(Crash, match="claim-committed"):
        reached(Point.CLAIM_COMMITTED)
    reached(Point.CLAIM_COMMITTED)


def test_a_crash_is_kept_by_no_handler_of_ordinary_errors() -> None:
    assert not issubclass(Crash, Exception)


def test_several_processes_may_share_a_count() -> None:
    shared = itertools.count(7).__next__
    arm(Failpoint(point=Point.ANSWER_READ, hit=8, action=Action.RAISE, count=shared))
    reached(Point.ANSWER_READ)
    with pytest.raises(Crash):
        reached(Point.ANSWER_READ)


@pytest.mark.parametrize("text", ["claim", "claim-committed:x:kill", "claim-committed:0:kill", "answer-read:1:explode"])
def test_a_drill_that_cannot_be_meant_is_refused_with_what_can(text: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("FAILPOINT", text)
    with pytest.raises(ConfigurationError) as caught:
        read_configuration()
    assert caught.value.faults[0].startswith("FAILPOINT: ")


def test_an_installation_of_tests_may_be_drilled(environment: pytest.MonkeyPatch) -> None:
    assert read_configuration().failpoint == "claim-committed:3:kill"


@pytest.mark.parametrize(
    ("name", "value"), [("ENVIRONMENT", "production"), ("PROVIDER", "resend"), ("PROVIDER", "smtp")]
)
def test_an_installation_with_readers_is_never_drilled(name: str, value: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        read_configuration()
    assert any("FAILPOINT: is for tests" in fault for fault in caught.value.faults)
