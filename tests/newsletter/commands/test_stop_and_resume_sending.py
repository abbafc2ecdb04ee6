"""manage.py stop_sending and resume_sending: the switch, for a terminal."""

from __future__ import annotations

import io
import os

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from newsletter.management.operator import operator_name
from newsletter.models import Restore, RestoreSource, SwitchTransition, sending_stopped

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_a_stop_and_its_end_are_recorded_with_their_reasons() -> None:
    assert "All sending is stopped." in run("stop_sending", "--reason", "The API key leaked.")
    stop = sending_stopped()
    assert stop
    assert "Sending is resumed." in run("resume_sending", "--reason", "A new key is in place.")
    assert sending_stopped() is None
    words = [values.get("text") for values in SwitchTransition.objects.values_list("values", flat=True)]
    assert words == ["The API key leaked.", "A new key is in place."]


def test_the_history_names_the_account_or_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", lambda: "newsletter")
    run("stop_sending", "--reason", "The API key leaked.")
    monkeypatch.setenv("SUDO_USER", "edda")
    run("resume_sending")
    run("stop_sending", "--reason", "It leaked again.", "--by", " Stella ")
    assert list(SwitchTransition.objects.values_list("by", flat=True)) == ["newsletter", "edda", "Stella"]


def test_an_account_without_a_name_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", nobody)
    assert operator_name({"by": ""}) == f"uid {os.getuid()}"


def test_a_restore_is_acknowledged_by_the_operator_in_the_same_way() -> None:
    now = timezone.now()
    Restore.objects.create(backup_at=now, restored_at=now, source=RestoreSource.COMMAND, by="x", secured_at=now)
    assert "Acknowledged." in run("restore", "--acknowledge", "--by", "Edda")
    assert Restore.objects.get().acknowledged_by == "Edda"


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
