# ruff: noqa: S608 - the statements are made of names and words of ours; values are parameters
"""One chunk of an import: the subscribers between two addresses, classified and written in sets.

A chunk holds all rows of its subscribers. So the outcome does not depend on where chunks begin and end.
"""

from __future__ import annotations

from django.db import connection

from subscribers.imports.classify import ClassifiedChunk
from subscribers.imports.outcomes import SUPPRESSION_OF_RANK, KeptReason, Outcome, Rank
from subscribers.imports.staging import Choice
from subscribers.imports.statements import (
    REASON_OF_RANK,
    STATE_OF_RANK,
    quoted,
    shown_value_sql,
    sql_list,
    table_named,
    table_of,
)
from subscribers.models import (
    SUBSCRIPTION_MACHINE,
    Change,
    ChangeKind,
    Consent,
    ConsentForm,
    ConsentKind,
    FieldValue,
    Frequency,
    ImportSuppression,
    Note,
    Subscriber,
    Subscription,
    SubscriptionState,
    SubscriptionTag,
    Suppression,
    SuppressionReason,
    Topic,
    TopicOptOut,
)
from subscribers.suppression import outranks


class Chunk(ClassifiedChunk):
    """A chunk that can be written."""

    def write(self) -> None:
        """Store what `classify` found. Subscriptions that others changed in the meantime stay as they are."""
        self._lock_known()
        self._suppress()
        self._end_subscriptions()
        self._make_subscribers()
        self._make_subscriptions()
        self._store_choices()
        self._fill_profiles()
        self._add_tags()
        self._store_values()

    def _lock_known(self) -> None:
        """Lock what will change, and keep what another transaction has ended, declined or moved in the meantime."""
        open_states = f"({SUBSCRIPTION_MACHINE.sql_sources(SubscriptionState.UNSUBSCRIBED)})"
        if self._is_postgresql:
            self._run(
                f"""SELECT 1 FROM {table_of(Subscriber)} WHERE id IN (SELECT known_subscriber FROM import_subscriber
                WHERE makes = 1 OR fills_name + fills_zone + fills_language > 0) ORDER BY id FOR NO KEY UPDATE"""
            )
            self._run(
                f"""SELECT 1 FROM {table_of(Subscription)} m WHERE m.state IN {open_states} AND (
                m.id IN (SELECT subscription_id FROM import_subscriber WHERE action = 'end') OR m.subscriber_id IN (
                SELECT known_subscriber FROM import_subscriber WHERE action = 'suppress')) ORDER BY id FOR UPDATE"""
            )
        self._run(
            f"""UPDATE import_subscriber SET action = 'keep', makes = 0, outcome = '{Outcome.KEPT}',
            reason = '{KeptReason.DECLINED}' WHERE action = 'create' AND rank <= {Rank.ACTIVE}
            AND EXISTS (SELECT 1 FROM {table_of(Subscriber)} r
                WHERE r.id = import_subscriber.known_subscriber AND r.declined_at IS NOT NULL)"""
        )
        self._run(
            f"""UPDATE import_subscriber SET action = 'nothing', outcome = '{Outcome.ALREADY}' WHERE action = 'end'
            AND NOT EXISTS (SELECT 1 FROM {table_of(Subscription)} m
                WHERE m.id = import_subscriber.subscription_id AND m.state IN {open_states})"""
        )

    def _suppress(self) -> None:
        """Store the suppressions, and end open subscriptions on every list, with a consent each."""
        # A table of its own: joined with the large one, PostgreSQL may read all of that for each suppression.
        self._make("import_suppressed", "SELECT * FROM import_subscriber WHERE action = 'suppress'")
        if not self._has("SELECT 1 FROM import_suppressed"):
            return
        suppression = table_of(Suppression)
        self._insert(
            Suppression,
            {"fingerprint": "fingerprint", "reason": REASON_OF_RANK, "detail": "source", "created_at": "%(now)s"},
            "FROM import_suppressed WHERE 1 = 1 ORDER BY fingerprint",
            on_conflict="(fingerprint) DO NOTHING",
        )
        self._insert(
            ImportSuppression,
            {"owner_id": "%(owner)s", "fingerprint": "b.fingerprint", "reason": "b.reason", "created_at": "%(now)s"},
            f"""FROM import_suppressed p JOIN {suppression} b ON b.fingerprint = p.fingerprint
            WHERE p.suppressed IS NULL AND b.created_at = %(now)s""",
            on_conflict="(owner_id, fingerprint) DO NOTHING",
        )
        for rank, reason in SUPPRESSION_OF_RANK.items():
            lower = [other for other in SuppressionReason.values if outranks(reason, other)]
            self._run(
                f"""UPDATE {suppression} SET reason = '{reason}', created_at = %(now)s
                WHERE reason IN {sql_list(lower)} AND fingerprint IN (
                    SELECT fingerprint FROM import_suppressed WHERE rank = {rank})"""
            )
        sources = SUBSCRIPTION_MACHINE.sql_sources(SubscriptionState.SUPPRESSED)
        self._insert(
            Consent,
            self._consent(ConsentKind.SUPPRESSED, "m.id", REASON_OF_RANK, "l.name"),
            f"""FROM import_suppressed p JOIN {table_of(Subscription)} m ON m.subscriber_id = p.known_subscriber
            JOIN {table_named("mailinglist")} l ON l.id = m.mailing_list_id WHERE m.state IN ({sources})""",
        )
        self._run(
            f"""UPDATE {table_of(Subscription)} SET state = '{SubscriptionState.SUPPRESSED}', ended_at = %(now)s,
            paused_until = NULL WHERE state IN ({sources}) AND subscriber_id IN (
                SELECT known_subscriber FROM import_suppressed)"""
        )

    def _end_subscriptions(self) -> None:
        if not self._has("SELECT 1 FROM import_subscriber WHERE action = 'end'"):
            return
        self._insert(
            Consent,
            self._consent(ConsentKind.UNSUBSCRIBED, "subscription_id"),
            "FROM import_subscriber p WHERE action = 'end'",
        )
        sources = SUBSCRIPTION_MACHINE.sql_sources(SubscriptionState.UNSUBSCRIBED)
        self._run(
            f"""UPDATE {table_of(Subscription)} SET state = '{SubscriptionState.UNSUBSCRIBED}', paused_until = NULL,
            ended_at = COALESCE(p.ended_at, %(now)s) FROM import_subscriber p
            WHERE p.action = 'end' AND p.subscription_id = {table_of(Subscription)}.id
            AND {table_of(Subscription)}.state IN ({sources})"""
        )

    def _make_subscribers(self) -> None:
        new = "makes = 1 AND known_subscriber IS NULL"
        wanted = self._count(f"SELECT count(*) FROM import_subscriber WHERE {new}")
        made = wanted and self._insert(
            Subscriber,
            {
                "id": "subscriber_id",
                "address": "address",
                "canonical": "canonical",
                "first_name": "first_name",
                "time_zone": "time_zone",
                "language": "language",
                "created_at": "%(now)s",
            },
            f"FROM import_subscriber WHERE {new} ORDER BY n",
            on_conflict="(canonical) DO NOTHING",
        )
        if made < wanted:
            # Signed up at this moment.
            self._run(
                f"""UPDATE import_subscriber SET subscriber_id = (SELECT r.id FROM {table_of(Subscriber)} r
                WHERE r.canonical = import_subscriber.canonical) WHERE {new}"""
            )

    def _make_subscriptions(self) -> None:
        wanted = self._count("SELECT count(*) FROM import_subscriber WHERE makes = 1")
        if not wanted:
            return
        is_ended = f"rank >= {Rank.UNSUBSCRIBED}"
        made = self._insert(
            Subscription,
            {
                "id": "subscription_id",
                "subscriber_id": "subscriber_id",
                "mailing_list_id": "%(list)s",
                "state": STATE_OF_RANK,
                "key": _NEW_UUID[connection.vendor],
                "created_at": "COALESCE(joined_at, confirmed_at, %(now)s)",
                "confirmed_at": f"""CASE WHEN rank = {Rank.ACTIVE} THEN COALESCE(confirmed_at, joined_at, %(now)s)
                    WHEN {is_ended} THEN confirmed_at END""",
                "ended_at": f"CASE WHEN {is_ended} THEN COALESCE(ended_at, %(now)s) END",
                "request_number": "0",
                "source": "'import'",
                "import_pk": "%(owner)s",
            },
            "FROM import_subscriber WHERE makes = 1 ORDER BY n",
            on_conflict="(mailing_list_id, subscriber_id) DO NOTHING",
        )
        if made < wanted:
            self._drop_overtaken()
        self._insert(
            Consent,
            self._consent(KIND_OF_RANK, "subscription_id", f"CASE WHEN {is_ended} THEN {REASON_OF_RANK} ELSE '' END"),
            "FROM import_subscriber p WHERE makes = 1 ORDER BY n",
        )

    def _store_choices(self) -> None:
        """Pause, frequency and topics of new subscriptions. Those that were here have what their owners chose here."""
        # The numbers of choices are negative, those of fields are not.
        place = "strpos" if self._is_postgresql else "instr"
        chosen = f"makes = 1 AND {place}(field_values, '[-') > 0"
        if not self._has(f"SELECT 1 FROM import_subscriber WHERE {chosen}"):
            return
        pairs, number, text = self._pairs()
        self._make(
            "import_choice",
            f"""SELECT p.subscription_id, p.rank, {number} AS number, {text} AS text FROM import_subscriber p {pairs}
            WHERE p.{chosen} AND {number} < 0""",
        )
        ids = "id IN (SELECT subscription_id FROM import_choice WHERE number"
        self._run(
            f"""UPDATE {table_of(Subscription)} SET frequency = '{Frequency.WEEKLY}'
            WHERE {ids} = {Choice.FREQUENCY.value} AND text = '{Frequency.WEEKLY}')"""
        )
        until = "CAST(c.text AS timestamp with time zone)" if self._is_postgresql else "c.text"
        self._run(
            f"""UPDATE {table_of(Subscription)} SET paused_until = {until} FROM import_choice c
            WHERE c.subscription_id = {table_of(Subscription)}.id AND c.number = {Choice.PAUSED_UNTIL.value}
            AND c.rank <= {Rank.ACTIVE}"""
        )
        self._insert(
            TopicOptOut,
            {"topic_id": "t.id", "subscription_id": "c.subscription_id"},
            f"""FROM import_choice c JOIN {table_of(Topic)} t ON t.id = CAST(c.text AS integer)
            WHERE c.number = {Choice.TOPIC_OFF.value} AND t.mailing_list_id = %(list)s""",
            on_conflict="(topic_id, subscription_id) DO NOTHING",
        )

    def _drop_overtaken(self) -> None:
        """Leave alone who got a subscription by signing up at this moment."""
        self._run(
            f"""UPDATE import_subscriber SET makes = 0, action = 'keep', outcome = CASE WHEN rank <= {Rank.ACTIVE}
                THEN '{Outcome.KEPT}' WHEN action = 'suppress' THEN outcome ELSE '{Outcome.DIFFERS}' END,
            reason = CASE WHEN rank <= {Rank.ACTIVE} THEN '{KeptReason.PENDING}' ELSE '' END
            WHERE makes = 1 AND NOT EXISTS (SELECT 1 FROM {table_of(Subscription)} m
                WHERE m.id = import_subscriber.subscription_id AND m.import_pk = %(owner)s)"""
        )

    def _fill_profiles(self) -> None:
        profiled = "(p.makes = 1 OR p.action = 'update')"
        filled = (
            ("first_name", "fills_name", ChangeKind.NAME),
            ("time_zone", "fills_zone", ChangeKind.TIME_ZONE),
            ("language", "fills_language", ChangeKind.LANGUAGE),
        )
        for column, flag, kind in filled:
            source = f"""FROM import_subscriber p JOIN {table_of(Subscriber)} r ON r.id = p.known_subscriber
                WHERE p.{flag} = 1 AND {profiled}"""
            if not self._has(f"SELECT 1 {source}"):
                continue
            self._change(kind, "p.known_subscription", f"'from', r.{column}, 'to', p.{column}", source)
            self._run(
                f"""UPDATE {table_of(Subscriber)} SET {column} = p.{column} FROM import_subscriber p
                WHERE p.known_subscriber = {table_of(Subscriber)}.id AND p.{flag} = 1 AND {profiled}"""
            )
        if self._has("SELECT 1 FROM import_subscriber WHERE adds_note = 1"):
            self._insert(
                Note,
                {"subscriber_id": "subscriber_id", "text": "note", "by": "%(by)s", "created_at": "%(now)s"},
                f"FROM import_subscriber p WHERE p.adds_note = 1 AND {profiled}",
            )

    def _add_tags(self) -> None:
        source = "FROM import_tag t JOIN import_subscriber p ON p.n = t.n WHERE (p.makes = 1 OR p.action = 'update')"
        self._change(
            ChangeKind.TAG_ADDED,
            "p.known_subscription",
            f"'tag', (SELECT name FROM {table_named('tag')} WHERE id = t.tag_id)",
            f"{source} AND p.known_subscription IS NOT NULL",
        )
        self._insert(
            SubscriptionTag,
            {"tag_id": "t.tag_id", "subscription_id": "p.subscription_id"},
            # In the order of the unique index: neighbouring entries are written together.
            f"{source} ORDER BY t.tag_id, p.subscription_id",
            on_conflict="(tag_id, subscription_id) DO NOTHING",
        )

    def _store_values(self) -> None:
        if not self.context.fields:
            return
        source = "FROM import_value v JOIN import_subscriber p ON p.n = v.n WHERE (p.makes = 1 OR p.action = 'update')"
        key = f"(SELECT key FROM {table_named('customfield')} WHERE id = v.field_id)"
        before = f"""COALESCE((SELECT {shown_value_sql("x")} FROM {table_of(FieldValue)} x
            JOIN import_stale s ON s.id = x.id WHERE s.n = v.n AND x.field_id = v.field_id LIMIT 1), '')"""
        self._change(
            ChangeKind.FIELD,
            "p.known_subscription",
            f"'field', {key}, 'from', {before}, 'to', {shown_value_sql('v')}",
            f"{source} AND p.known_subscription IS NOT NULL",
        )
        self._run(f"DELETE FROM {table_of(FieldValue)} WHERE id IN (SELECT id FROM import_stale)")
        self._insert(
            FieldValue,
            {
                "field_id": "v.field_id",
                "subscription_id": "p.subscription_id",
                "is_multiple": "v.multiple = 1",
                "text": "v.text",
                "number": "v.number",
                "date": "v.date",
            },
            source,
            on_conflict="DO NOTHING",
        )

    def _change(self, kind: ChangeKind, subscription: str, pairs: str, source: str) -> None:
        build = "jsonb_build_object" if self._is_postgresql else "json_object"
        columns = {
            "subscriber_id": "p.subscriber_id",
            "subscription_id": subscription,
            "kind": f"'{kind}'",
            quoted("values"): f"{build}({pairs})",
            "by": "%(by)s",
            "created_at": "%(now)s",
        }
        self._insert(Change, columns, source)

    def _consent(
        self, kind: str, subscription: str, reason: str = "''", list_name: str = "%(list_name)s"
    ) -> dict[str, str]:
        """The columns of a consent for a row of `import_subscriber p`. `kind` is a word or an SQL expression."""
        return {
            "subscription_id": subscription,
            "kind": kind if " " in kind else f"'{kind}'",
            "created_at": "%(now)s",
            "address": "p.address",
            "canonical": "p.canonical",
            "list_name": list_name,
            "form": f"'{ConsentForm.IMPORT}'",
            "text_id": "%(text)s",
            "source": "p.source",
            "by": "%(by)s",
            "reason": reason,
            "detail": "p.evidence",
        }


KIND_OF_RANK = f"""CASE WHEN rank <= {Rank.ACTIVE} THEN '{ConsentKind.IMPORTED}'
    WHEN rank = {Rank.UNSUBSCRIBED} THEN '{ConsentKind.UNSUBSCRIBED}' ELSE '{ConsentKind.SUPPRESSED}' END"""

_HEX = "lower(hex(randomblob({})))"
#: Random UUIDs of version 4, as Django stores them.
_NEW_UUID = {
    "postgresql": "gen_random_uuid()",
    "sqlite": " || ".join(
        (_HEX.format(6), "'4'", f"substr({_HEX.format(2)}, 2)", "'a'", f"substr({_HEX.format(2)}, 2)", _HEX.format(6))
    ),
}
