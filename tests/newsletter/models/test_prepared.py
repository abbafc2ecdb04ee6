"""Prepared statements: the same rows as the ORM's on both databases, in the transaction that is open."""

from __future__ import annotations

import datetime

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import BooleanField, DateTimeField
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models.prepared import PreparedStatement, columns_of, fields_of, instance_of
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.publications import make_newsletter

READ = PreparedStatement(
    f"SELECT {columns_of(Subscription)}, paused_until > %s FROM subscribers_subscription WHERE id = ANY(%s::bigint[])",
    [*fields_of(Subscription), BooleanField(null=True)],
)
PAUSE = PreparedStatement("UPDATE subscribers_subscription SET paused_until = %s::timestamptz WHERE state = %s")


pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Subscription:
    return people.make_subscription(people.ADA, make_newsletter())


def test_a_row_becomes_the_instance_that_the_orm_would_read(ada: Subscription) -> None:
    now = timezone.now()
    (row,) = READ.rows(now, [ada.pk])
    read, expected = instance_of(Subscription, row), Subscription.objects.get(pk=ada.pk)
    for field in fields_of(Subscription):
        assert getattr(read, field.attname) == getattr(expected, field.attname), field.name
    assert row[-1] is None


def test_times_are_compared_as_the_orm_compares_them(ada: Subscription) -> None:
    until = timezone.now().replace(microsecond=0) + datetime.timedelta(days=1)
    assert PAUSE.execute(until, SubscriptionState.ACTIVE) == 1
    earlier, later = until - datetime.timedelta(microseconds=1), until + datetime.timedelta(microseconds=1)
    assert [bool(READ.rows(at, [ada.pk])[0][-1]) for at in (earlier, until, later)] == [True, False, False]


def test_lists_may_be_empty_and_parameters_null(ada: Subscription) -> None:
    assert READ.rows(timezone.now(), []) == []
    assert READ.first(timezone.now(), []) is None
    assert PAUSE.execute(None, SubscriptionState.ACTIVE) == 1


def test_a_change_is_rolled_back_with_its_transaction(ada: Subscription) -> None:
    with transaction.atomic():
        PAUSE.execute(timezone.now(), SubscriptionState.ACTIVE)
        transaction.set_rollback(True)
    ada.refresh_from_db()
    assert ada.paused_until is None


def test_errors_are_those_of_django() -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        PreparedStatement("SELECT missing FROM newsletter_issue").rows()


def test_a_statement_can_be_counted_like_any_other(ada: Subscription) -> None:
    with CaptureQueriesContext(connection) as queries:
        READ.rows(timezone.now(), [ada.pk])
    assert len(queries) == 1


def test_the_clock_of_the_database_is_a_time_with_a_zone() -> None:
    clock = PreparedStatement("SELECT STATEMENT_TIMESTAMP()", [DateTimeField()])
    (now,) = clock.first() or (None,)
    assert abs((now - timezone.now()).total_seconds()) < 5


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_postgresql_parses_a_statement_once_per_connection(ada: Subscription) -> None:
    for _ in range(3):
        READ.rows(timezone.now(), [ada.pk])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", ["%paused_until > $1%"])
        assert cursor.fetchone() == (1,)
