"""The editors: Edda is a superuser, Will may write, Sue may send, Lou may view, Norm has no permissions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from newsletter.models import Issue, Send
from tests.people import ada, cleo
from tests.publications import expand_audiences, make_issue, make_newsletter, start_sending

PERMISSIONS = {
    "will": ("view_issue", "add_issue", "change_issue"),
    "sue": ("view_issue", "send_issue"),
    "lou": ("view_issue",),
    "norm": (),
}


@pytest.fixture
def signed_in(db: None) -> Callable[[str], Client]:
    """Signs in one of the editors by name, and returns their client."""

    def sign_in(name: str) -> Client:
        user = User.objects.create_user(name, f"{name}@example.org", is_staff=True, is_superuser=name == "edda")
        wanted = Permission.objects.filter(codename__in=PERMISSIONS.get(name, ()))
        user.user_permissions.set(wanted)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def edda(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("edda")


@pytest.fixture
def issue(db: None) -> Issue:
    return make_issue()


@pytest.fixture
def running_send(issue: Issue, read_by_ada: None) -> Send:
    """A send of the issue, its audience expanded and nothing posted."""
    send = start_sending(issue)
    expand_audiences()
    return send


@pytest.fixture
def read_by_ada(db: None) -> None:
    """One active subscription, and one that has ended."""
    ada(make_newsletter())
    cleo(make_newsletter())
