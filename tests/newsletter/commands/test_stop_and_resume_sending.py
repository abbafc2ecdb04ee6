"""manage.py stop_sending and resume_sending: the switch, for a terminal."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from newsletter.models import SwitchTransition, sending_stopped

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_a_stop_and_its_end_are_recorded_with_their_reasons() -> None:
    assert "All sending is stopped." in run("stop_sending", "--reason", "The API key leaked.")
    stop = sending_stopped()
    assert stop
    assert stop.by == "manage.py stop_sending"
    assert "Sending is resumed." in run("resume_sending", "--reason", "A new key is in place.")
    assert sending_stopped() is None
    words = [values.get("text") for values in SwitchTransition.objects.values_list("values", flat=True)]
    assert words == ["The API key leaked.", "A new key is in place."]


def test_a_stop_needs_a_reason() -> None:
    with pytest.raises(CommandError, match="--reason"):
        run("stop_sending")
    with pytest.raises(CommandError, match="Say why all sending is stopped"):
        run("stop_sending", "--reason", " ")


def test_resuming_is_refused_where_nothing_is_stopped_and_where_the_setting_stops_it(settings: Settings) -> None:
    with pytest.raises(CommandError, match="Sending is not stopped"):
        run("resume_sending")
    settings.SENDING_IS_OFF = True
    with pytest.raises(CommandError, match="SENDING=off"):
        run("resume_sending")
