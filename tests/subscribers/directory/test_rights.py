"""An update takes no right away: who saw addresses sees them afterwards."""

from __future__ import annotations

import importlib

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User

pytestmark = pytest.mark.django_db


def test_whoever_could_look_at_subscribers_or_deliveries_keeps_seeing_addresses() -> None:
    group, nobody = Group.objects.create(name="Editors"), Group.objects.create(name="Writers")
    group.permissions.add(Permission.objects.get(codename="view_subscriber"))
    leo = User.objects.create_user("leo")
    leo.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    importlib.import_module("subscribers.migrations.0009_subscribers_and_audiences").keep_full_addresses(apps, None)
    right = Permission.objects.get(codename="view_personal_data")
    assert right in group.permissions.all()
    assert right in leo.user_permissions.all()
    assert right not in nobody.permissions.all()
