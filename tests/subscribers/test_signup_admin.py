"""The admin of sign-ups: rules, the dry run, the queue of held sign-ups and the log."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from lxml import html  # type: ignore[import-untyped]
from pytest_django import Settings

from subscribers.addresses import parse_address
from subscribers.models import (
    DecisionReason,
    Evidence,
    RuleAction,
    Signup,
    SignupDecision,
    SignupRule,
    SignupState,
    TransactionalMail,
)
from subscribers.signup.queue import process_signups, store_signup
from tests.people import make_mailing_list

pytestmark = pytest.mark.django_db

RULES = reverse("admin:subscribers_signuprule_changelist")
ADD_RULE = reverse("admin:subscribers_signuprule_add")
DRY_RUN = reverse("admin:subscribers_signuprule_dry_run")
QUEUE = reverse("admin:subscribers_signup_changelist")
LOG = reverse("admin:subscribers_signupdecision_changelist")


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


@pytest.fixture(autouse=True)
def rules() -> None:
    """One rule, which holds role addresses."""
    SignupRule.objects.all().delete()
    SignupRule.objects.create(position=10, is_role=True, action=RuleAction.HOLD)


def sign_up(*addresses: str) -> None:
    for address in addresses:
        store_signup(make_mailing_list(), parse_address(address), Evidence(form="signup"))
    process_signups()


def words(response: Any) -> str:
    assert response.status_code == 200
    return " ".join(" ".join(html.fromstring(response.content.decode()).xpath("//main")[0].itertext()).split())


def act(editor: Client, action: str, *chosen: Signup, **fields: str) -> Any:
    data = {"action": action, "_selected_action": [str(signup.pk) for signup in chosen], **fields}
    return editor.post(f"{QUEUE}?state=all", data, follow=True)


def states() -> list[str]:
    return list(Signup.objects.order_by("pk").values_list("state", flat=True))


# --- The queue -----------------------------------------------------------------------------------------------------


def test_the_queue_shows_held_sign_ups_with_the_rule_that_held_them(editor: Client) -> None:
    sign_up("gus@example.org", "abuse@example.org")
    shown = words(editor.get(QUEUE))
    assert "abuse@example.org" in shown
    assert "A rule matches · role address" in shown
    assert "gus@example.org" not in shown
    assert "gus@example.org" in words(editor.get(f"{QUEUE}?state=all"))
    assert "gus@example.org" in words(editor.get(f"{QUEUE}?state=processed"))
    assert editor.get(f"{QUEUE}?state=other").status_code == 400


def test_released_sign_ups_get_their_mail_despite_rules_and_limits(editor: Client, settings: Settings) -> None:
    settings.SIGNUP_DOMAIN_LIMIT = 1
    sign_up("abuse@example.org", "noc@example.org", "security@example.org")
    assert "2 sign-ups are released" in words(act(editor, "release", *Signup.objects.order_by("pk")[:2]))
    assert TransactionalMail.objects.count() == 0
    process_signups()
    assert TransactionalMail.objects.count() == 2
    assert states() == [SignupState.PROCESSED, SignupState.PROCESSED, SignupState.HELD]
    logged = SignupDecision.objects.filter(reason=DecisionReason.EDITOR)
    assert [(decision.action, decision.by) for decision in logged] == [(RuleAction.ALLOW, "ida")] * 2


def test_refused_sign_ups_get_no_mail(editor: Client) -> None:
    sign_up("abuse@example.org")
    assert "1 sign-up is refused" in words(act(editor, "refuse", Signup.objects.get()))
    process_signups()
    assert states() == [SignupState.REFUSED]
    assert not TransactionalMail.objects.exists()


def test_only_held_sign_ups_are_decided(editor: Client) -> None:
    sign_up("gus@example.org")
    assert "0 sign-ups are released" in words(act(editor, "release", Signup.objects.get()))
    assert states() == [SignupState.PROCESSED]
    assert TransactionalMail.objects.count() == 1


def test_the_same_sign_up_is_held_once(editor: Client) -> None:
    sign_up("abuse@example.org")
    sign_up("abuse@example.org")
    assert states() == [SignupState.HELD, SignupState.REFUSED]


def test_the_whole_queue_is_released_at_once(editor: Client) -> None:
    sign_up(*(f"abuse@company-{number}.example" for number in range(8)))
    act(editor, "release", Signup.objects.first(), select_across="1")  # type: ignore[arg-type]
    process_signups()
    assert set(states()) == {SignupState.PROCESSED}


def test_an_editor_without_the_permission_may_only_look(client: Client) -> None:
    user = User.objects.create_user("lou", "lou@example.org", is_staff=True)
    rights = ("view_signup", "view_signuprule", "view_personal_data")
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)
    sign_up("abuse@example.org")
    assert "abuse@example.org" in words(client.get(QUEUE))
    act(client, "release", Signup.objects.get())
    assert states() == [SignupState.HELD]
    assert client.get(DRY_RUN).status_code == 200
    assert client.get(ADD_RULE).status_code == 403
    assert client.get(LOG).status_code == 403


# --- Rules -----------------------------------------------------------------------------------------------------------


def test_rules_are_listed_in_their_order_in_words(editor: Client) -> None:
    SignupRule.objects.create(position=5, name="Ours", domains="example.org", action=RuleAction.ALLOW)
    shown = words(editor.get(RULES))
    assert shown.index("mail domain: example.org") < shown.index("role address")
    assert "Dry run" in shown


def test_a_rule_is_added_and_its_errors_are_at_their_fields(editor: Client) -> None:
    data = {
        "name": "Burst",
        "position": "1",
        "is_active": "on",
        "action": "hold",
        "rate_scope": "domain",
        "rate_hours": "1",
    }
    refused = editor.post(ADD_RULE, data)
    assert "Set what sign-ups are counted by and the number, or neither." in words(refused)
    assert editor.post(ADD_RULE, data | {"rate_above": "3"}).status_code == 302
    assert SignupRule.objects.get(name="Burst").rate_above == 3


def test_the_form_says_whether_challenges_are_possible(editor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "The package altcha is installed." in words(editor.get(ADD_RULE))
    monkeypatch.setattr("subscribers.signup.challenge.is_available", lambda: False)
    assert "held for review" in words(editor.get(ADD_RULE))


def test_the_dry_run_says_what_the_rules_would_have_done(editor: Client) -> None:
    sign_up("gus@example.org", "hana@company.example", "abuse@example.org")
    tried = SignupRule.objects.create(position=1, domains="company.example", action="refuse", is_active=False)
    shown = words(editor.get(DRY_RUN))
    assert "compared with 3 sign-ups of the last seven days" in shown
    assert "Hold for review 1 of 3 1" in shown
    assert "Rule 10 role address Hold for review 1 of 3" in shown
    assert f"with={tried.pk}" in editor.get(DRY_RUN).content.decode()
    assert "Rule 1 (not active) mail domain: company.example Refuse 1 of 3" in words(
        editor.get(f"{DRY_RUN}?with={tried.pk}")
    )
    assert editor.get(f"{DRY_RUN}?with='").status_code == 200


def test_the_dry_run_of_no_sign_ups_says_so(editor: Client) -> None:
    SignupRule.objects.all().delete()
    shown = words(editor.get(DRY_RUN))
    assert "compared with 0 sign-ups" in shown
    assert "No rule is active." in shown


def test_the_log_names_the_rule_and_no_address(editor: Client) -> None:
    sign_up("abuse@example.org")
    shown = words(editor.get(LOG))
    assert "A rule matches · role address" in shown
    assert "abuse@" not in shown
    assert "example.org" in shown
