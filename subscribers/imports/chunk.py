# ruff: noqa: S608 - the statements are made of names and words of ours; values are parameters
"""One chunk of an import: the subscribers between two addresses, classified and written in sets.

Everything happens in temporary tables with statistics of their own and in one statement per table: with joins of
common table expressions, PostgreSQL has no statistics and may choose a plan that does not end within minutes.

A chunk holds all rows of its subscribers. So the outcome does not depend on where chunks begin and end.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.db import connection, models

from subscribers.imports.outcomes import SUPPRESSION_OF_RANK, Counts, KeptReason, Outcome, Rank
from subscribers.models import (
    REFUSALS,
    SUBSCRIPTION_MACHINE,
    Change,
    ChangeKind,
    Consent,
    ConsentForm,
    ConsentKind,
    CustomField,
    FieldKind,
    FieldValue,
    ImportSuppression,
    Note,
    StagedRow,
    Subscriber,
    Subscription,
    SubscriptionState,
    SubscriptionTag,
    Suppression,
    SuppressionReason,
)
from subscribers.suppression import outranks

#: The temporary tables, in the order in which they are made.
TABLES = (
    "import_row",
    "import_person",
    "import_known_tag",
    "import_tag",
    "import_known_field",
    "import_value",
    "import_stale",
)

#: Of a repeated subscriber: what is read of each row, in the order of the merged values.
REPEATED_COLUMNS = (
    "canonical, first_name, time_zone, language, tags, field_values, note, joined_at, confirmed_at, ended_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkContext:
    """What all chunks of an import share."""

    import_pk: int
    mailing_list_pk: int
    list_name: str
    by: str
    text_pk: int | None
    """The ConsentText with the statement."""
    tags: Sequence[int | None]
    """The tags by their number in the rows; None for one that does not exist yet."""
    fields: Sequence[CustomField]
    """The custom fields by their number in the rows. In a dry run, new ones are not saved."""
    replaces: bool
    """Whether values of the file replace those that are known."""
    now: datetime.datetime


class Chunk:
    """The rows of an import whose canonical address is greater than `after` and not greater than `until`.

    `classify` writes nothing but temporary tables. `write` stores the outcome. Both need a transaction around them.
    """

    def __init__(self, context: ChunkContext, after: str, until: str) -> None:
        self.context = context
        self._is_postgresql = connection.vendor == "postgresql"
        # Subqueries stay separate. Merged into one, each use of a column would repeat the whole expression.
        self._fence = "OFFSET 0" if self._is_postgresql else "LIMIT -1 OFFSET 0"
        self._values: dict[str, Any] = {
            "owner": context.import_pk,
            "list": context.mailing_list_pk,
            "after": after,
            "until": until,
            "now": self._time(context.now),
            "by": context.by,
            "list_name": context.list_name,
            "text": context.text_pk,
            "tags": json.dumps(list(context.tags)),
            "fields": json.dumps([field.pk for field in context.fields]),
        }

    def classify(self, *, only_known: bool) -> None:
        """Fill the temporary tables. `only_known`: without the tags and values of new subscriptions, for a dry run."""
        self.drop()
        if self._is_postgresql:
            # Compiling statements that run once costs more than running them.
            self._run("SET LOCAL jit = off")
        self._read_rows()
        self._merge_repeated()
        self._join_known()
        self._find_new_tags(only_known=only_known)
        self._find_new_values(only_known=only_known)
        self._run(
            f"""UPDATE import_person SET outcome = '{Outcome.UPDATED}' WHERE action = 'update' AND (
                fills_name + fills_zone + fills_language + adds_note > 0
                OR n IN (SELECT n FROM import_tag) OR n IN (SELECT n FROM import_value)
                OR n IN (SELECT n FROM import_stale))"""
        )

    def write(self) -> None:
        """Store what `classify` found. Subscriptions that others changed in the meantime stay as they are."""
        self._lock_known()
        self._suppress()
        self._end_subscriptions()
        self._make_subscribers()
        self._make_subscriptions()
        self._fill_profiles()
        self._add_tags()
        self._store_values()

    def counts(self) -> Counts:
        """Rows by outcome and reason."""
        found: Counts = {}
        repeated = 0
        for outcome, reason, count, rows in self._rows(
            "SELECT outcome, reason, count(*), sum(row_count) FROM import_person GROUP BY outcome, reason"
        ):
            found.setdefault(outcome, {})[reason] = count
            repeated += int(rows) - count
        if repeated:
            found[Outcome.REPEATED] = {"": repeated}
        return found

    def people(self, canonicals: Sequence[str]) -> dict[str, tuple[str, str, str, str]]:
        """Outcome, reason, and name and state after the import, of those of these subscribers that are in the chunk."""
        if not canonicals:
            return {}
        marks = ", ".join(["%s"] * len(canonicals))
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT canonical, outcome, reason, CASE WHEN subscriber_known = 0 OR (fills_name = 1
                AND (makes = 1 OR action = 'update')) THEN first_name ELSE known_first_name END,
                CASE WHEN makes = 1 OR action IN ('end', 'suppress') THEN {_STATE_OF_RANK}
                ELSE COALESCE(known_state, '') END FROM import_person WHERE canonical IN ({marks})""",
                list(canonicals),
            )
            return {canonical: (outcome, reason, name, state) for canonical, outcome, reason, name, state in cursor}

    def drop(self) -> None:
        """Remove the temporary tables."""
        prefix = "pg_temp." if self._is_postgresql else "temp."
        for table in TABLES:
            self._run(f"DROP TABLE IF EXISTS {prefix}{table}")

    # Reading

    def _read_rows(self) -> None:
        """One row per subscriber: the one with the strongest state, of these the first."""
        self._make(
            "import_row",
            f"""SELECT * FROM (
                SELECT staged.*, count(*) OVER (PARTITION BY canonical) AS row_count,
                row_number() OVER (PARTITION BY canonical ORDER BY rank DESC, position) AS place
                FROM {_table(StagedRow)} staged
                WHERE owner_id = %(owner)s AND canonical > %(after)s AND canonical <= %(until)s
            ) numbered WHERE place = 1""",
        )

    def _merge_repeated(self) -> None:
        """Fill the row of somebody who is in the file more than once from the other rows."""
        if not self._has("SELECT 1 FROM import_row WHERE row_count > 1"):
            return
        rows = self._rows(
            f"""SELECT {REPEATED_COLUMNS} FROM {_table(StagedRow)} WHERE owner_id = %(owner)s
                AND canonical > %(after)s AND canonical <= %(until)s
                AND canonical IN (SELECT canonical FROM import_row WHERE row_count > 1)
                ORDER BY canonical, rank DESC, position"""
        )
        merged = [_merge(canonical, group) for canonical, group in groupby(rows, key=lambda row: str(row[0]))]
        self._run("CREATE INDEX import_row_canonical ON import_row (canonical)")
        with connection.cursor() as cursor:
            cursor.executemany(
                """UPDATE import_row SET first_name = %s, time_zone = %s, language = %s, tags = %s,
                field_values = %s, note = %s, joined_at = %s, confirmed_at = %s, ended_at = %s
                WHERE canonical = %s""",
                merged,
            )

    def _join_known(self) -> None:
        """What is known of each subscriber, and what follows."""
        subscriber, subscription, suppression = _table(Subscriber), _table(Subscription), _table(Suppression)
        note = _table(Note)
        replaces = "1 = 1" if self.context.replaces else "1 = 0"
        known = f"""
            SELECT p.*, r.id AS known_subscriber, m.id AS known_subscription, m.state AS known_state,
            b.reason AS suppressed, r.declined_at, COALESCE(r.first_name, '') AS known_first_name,
            CASE WHEN r.id IS NULL THEN 0 ELSE 1 END AS subscriber_known,
            {_fills("first_name", replaces)} AS fills_name, {_fills("time_zone", replaces)} AS fills_zone,
            {_fills("language", replaces)} AS fills_language,
            CASE WHEN p.note = '' THEN 0 WHEN r.id IS NULL THEN 1 WHEN EXISTS (
                SELECT 1 FROM {note} x WHERE x.subscriber_id = r.id AND x.text = p.note) THEN 0 ELSE 1 END AS adds_note
            FROM import_row p
            LEFT JOIN {subscriber} r
                ON r.canonical = p.canonical AND r.canonical > %(after)s AND r.canonical <= %(until)s
            LEFT JOIN {subscription} m ON m.subscriber_id = r.id AND m.mailing_list_id = %(list)s
            LEFT JOIN {suppression} b ON b.fingerprint = p.fingerprint {self._fence}"""
        decided = (
            f"SELECT q.*, {self._action()} AS action, {self._deleted()} AS was_deleted FROM ({known}) q {self._fence}"
        )
        complete = f"""
            SELECT d.*, CASE WHEN action = 'create' THEN 1 WHEN action = 'suppress' AND known_state IS NULL
            AND suppressed IS NULL AND was_deleted = 0 THEN 1 ELSE 0 END AS makes FROM ({decided}) d {self._fence}"""
        self._make(
            "import_person",
            f"""SELECT c.*, row_number() OVER (ORDER BY canonical) AS n,
            COALESCE(known_subscriber, CASE WHEN makes = 1 THEN {self._next_pk(Subscriber)} END) AS subscriber_id,
            COALESCE(known_subscription, CASE WHEN makes = 1 THEN {self._next_pk(Subscription)} END)
                AS subscription_id,
            {_OUTCOME} AS outcome, {_REASON} AS reason FROM ({complete}) c""",
        )

    def _action(self) -> str:
        """What to do with each subscriber; see `subscribers.imports.engine` for the rules."""
        ended = f"known_state IN ('{SubscriptionState.UNSUBSCRIBED}', '{SubscriptionState.SUPPRESSED}')"
        open_ones = (SubscriptionState.PENDING, SubscriptionState.ACTIVE)
        stays = _stays("m", _last_yes("m"))
        own = f"EXISTS (SELECT 1 FROM {_table(Subscription)} m WHERE m.id = known_subscription AND {stays})"
        any_list = f"""EXISTS (SELECT 1 FROM {_table(Subscription)} m WHERE m.subscriber_id = known_subscriber
            AND m.state IN {_sql_list(open_ones)} AND {stays})"""
        return f"""CASE
            WHEN rank <= {Rank.ACTIVE} THEN CASE
                WHEN suppressed IS NOT NULL OR declined_at IS NOT NULL OR {ended} THEN 'keep'
                WHEN known_state = '{SubscriptionState.PENDING}' AND rank = {Rank.ACTIVE} THEN 'keep'
                WHEN known_state IS NOT NULL THEN 'update'
                WHEN {self._deleted()} = 1 THEN 'keep' ELSE 'create' END
            WHEN rank = {Rank.UNSUBSCRIBED} THEN CASE
                WHEN {ended} THEN 'nothing'
                WHEN known_state IS NOT NULL THEN CASE WHEN {own} THEN 'differ' ELSE 'end' END
                WHEN suppressed IS NOT NULL OR {self._deleted()} = 1 THEN 'nothing' ELSE 'create' END
            WHEN suppressed IS NOT NULL AND NOT ({_OUTRANKED}) THEN 'nothing'
            WHEN {any_list} THEN 'differ' ELSE 'suppress' END"""

    def _deleted(self) -> str:
        """1 if the subscriber said “no” to this list, or declined or was suppressed on any, and the row was deleted.

        The proof of a deleted subscription has the name of its list only. It counts unless another list has the name.
        """
        condition = f"""FROM {_table(Consent)} c WHERE c.subscription_id IS NULL AND c.kind IN {_sql_list(REFUSALS)}
            AND c.canonical"""
        if not self._has(f"SELECT 1 {condition} > ''"):
            return "0"
        others = f"SELECT name FROM {_table_named('mailinglist')} WHERE id <> %(list)s"
        return f"""CASE WHEN known_state IS NOT NULL THEN 0 WHEN EXISTS (SELECT 1 {condition} = q.canonical AND (
            c.kind <> '{ConsentKind.UNSUBSCRIBED}' OR c.list_name = %(list_name)s OR c.list_name NOT IN ({others})))
            THEN 1 ELSE 0 END"""

    def _find_new_tags(self, *, only_known: bool) -> None:
        """The tags that subscriptions do not have yet."""
        self._make_known("import_known_tag", "tags")
        if self._is_postgresql:
            numbers = "CROSS JOIN LATERAL unnest(string_to_array(p.tags, ',')::bigint[]) AS t(value)"
        else:
            numbers = "JOIN json_each('[' || p.tags || ']') t"
        self._make(
            "import_tag",
            f"""SELECT DISTINCT p.n, k.number, k.pk AS tag_id FROM import_person p {numbers}
            JOIN import_known_tag k ON k.number = t.value
            WHERE p.tags <> '' AND {_profiled(only_known)} AND (p.known_subscription IS NULL OR NOT EXISTS (
                SELECT 1 FROM {_table(SubscriptionTag)} x
                WHERE x.tag_id = k.pk AND x.subscription_id = p.subscription_id))""",
        )

    def _make_known(self, table: str, name: str) -> None:
        """The primary keys of a JSON array by their place, counted from 0."""
        if self._is_postgresql:
            source = f"json_array_elements_text(%({name})s::json) WITH ORDINALITY AS known(pk, place)"
            self._make(table, f"SELECT place - 1 AS number, known.pk::bigint AS pk FROM {source}")
        else:
            self._make(table, f"SELECT key AS number, value AS pk FROM json_each(%({name})s)")

    def _find_new_values(self, *, only_known: bool) -> None:
        """The values that are not stored yet, and on replacing the stored ones that are not in the file."""
        self._make_known("import_known_field", "fields")
        if self._is_postgresql:
            pairs = "CROSS JOIN LATERAL jsonb_array_elements(p.field_values::jsonb) AS v(pair)"
            number, text = "(v.pair->>0)::bigint", "v.pair->>1"
        else:
            pairs = "JOIN json_each(p.field_values) v"
            number, text = "json_extract(v.value, '$[0]')", "json_extract(v.value, '$[1]')"
        numbers, dates, multiple = (
            _numbers_of(self.context.fields, FieldKind.NUMBER),
            _numbers_of(self.context.fields, FieldKind.DATE),
            _numbers_of(self.context.fields, FieldKind.CHOICES),
        )
        candidates = f"""SELECT DISTINCT p.n, p.subscription_id, p.known_subscription, k.pk AS field_id,
            CASE WHEN {number} IN {multiple} THEN 1 ELSE 0 END AS multiple,
            CASE WHEN {number} IN {numbers} OR {number} IN {dates} THEN '' ELSE {text} END AS text,
            CASE WHEN {number} IN {numbers} THEN CAST({text} AS numeric) END AS number,
            CASE WHEN {number} IN {dates} THEN {"CAST(" + text + " AS date)" if self._is_postgresql else text} END
                AS date
            FROM import_person p {pairs} JOIN import_known_field k ON k.number = {number}
            WHERE p.field_values <> '' AND {_profiled(only_known)}"""
        stored = f"SELECT 1 FROM {_table(FieldValue)} x WHERE x.field_id = c.field_id"
        stored += " AND x.subscription_id = c.subscription_id"
        if not self.context.replaces:
            new = f"c.known_subscription IS NULL OR NOT EXISTS ({stored})"
            self._make("import_value", f"SELECT * FROM ({candidates}) c WHERE {new}")
            self._make("import_stale", f"SELECT x.id, 0 AS n FROM {_table(FieldValue)} x WHERE 1 = 0")
            return
        self._make("import_value", f"SELECT * FROM ({candidates}) c")
        self._run("CREATE INDEX import_value_n ON import_value (n)")
        self._make(
            "import_stale",
            f"""SELECT DISTINCT x.id, c.n FROM import_value c JOIN {_table(FieldValue)} x
            ON x.field_id = c.field_id AND x.subscription_id = c.subscription_id
            WHERE c.known_subscription IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM import_value d WHERE d.n = c.n AND d.field_id = c.field_id AND {_same("d")})""",
        )
        self._run(
            f"""DELETE FROM import_value WHERE known_subscription IS NOT NULL AND EXISTS (
                SELECT 1 FROM {_table(FieldValue)} x WHERE x.field_id = import_value.field_id
                AND x.subscription_id = import_value.subscription_id AND {_same("import_value")})"""
        )

    # Writing

    def _lock_known(self) -> None:
        """Lock what will change, and keep what another transaction has ended, declined or moved in the meantime."""
        open_states = f"({SUBSCRIPTION_MACHINE.sql_sources(SubscriptionState.UNSUBSCRIBED)})"
        if self._is_postgresql:
            self._run(
                f"""SELECT 1 FROM {_table(Subscriber)} WHERE id IN (SELECT known_subscriber FROM import_person
                WHERE makes = 1 OR fills_name + fills_zone + fills_language > 0) ORDER BY id FOR NO KEY UPDATE"""
            )
            self._run(
                f"""SELECT 1 FROM {_table(Subscription)} m WHERE m.state IN {open_states} AND (
                m.id IN (SELECT subscription_id FROM import_person WHERE action = 'end') OR m.subscriber_id IN (
                SELECT known_subscriber FROM import_person WHERE action = 'suppress')) ORDER BY id FOR UPDATE"""
            )
        self._run(
            f"""UPDATE import_person SET action = 'keep', makes = 0, outcome = '{Outcome.KEPT}',
            reason = '{KeptReason.DECLINED}' WHERE action = 'create' AND rank <= {Rank.ACTIVE}
            AND EXISTS (SELECT 1 FROM {_table(Subscriber)} r
                WHERE r.id = import_person.known_subscriber AND r.declined_at IS NOT NULL)"""
        )
        self._run(
            f"""UPDATE import_person SET action = 'nothing', outcome = '{Outcome.ALREADY}' WHERE action = 'end'
            AND NOT EXISTS (SELECT 1 FROM {_table(Subscription)} m
                WHERE m.id = import_person.subscription_id AND m.state IN {open_states})"""
        )

    def _suppress(self) -> None:
        """Store the suppressions, and end open subscriptions on every list, with a consent each."""
        if not self._has("SELECT 1 FROM import_person WHERE action = 'suppress'"):
            return
        suppression = _table(Suppression)
        self._insert(
            Suppression,
            {"fingerprint": "fingerprint", "reason": _REASON_OF_RANK, "detail": "source", "created_at": "%(now)s"},
            "FROM import_person WHERE action = 'suppress' ORDER BY fingerprint",
            on_conflict="(fingerprint) DO NOTHING",
        )
        self._insert(
            ImportSuppression,
            {"owner_id": "%(owner)s", "fingerprint": "b.fingerprint", "reason": "b.reason", "created_at": "%(now)s"},
            f"""FROM import_person p JOIN {suppression} b ON b.fingerprint = p.fingerprint
            WHERE p.action = 'suppress' AND p.suppressed IS NULL AND b.created_at = %(now)s""",
            on_conflict="(owner_id, fingerprint) DO NOTHING",
        )
        for rank, reason in SUPPRESSION_OF_RANK.items():
            lower = [other for other in SuppressionReason.values if outranks(reason, other)]
            self._run(
                f"""UPDATE {suppression} SET reason = '{reason}', created_at = %(now)s
                WHERE reason IN {_sql_list(lower)} AND fingerprint IN (
                    SELECT fingerprint FROM import_person WHERE action = 'suppress' AND rank = {rank})"""
            )
        sources = SUBSCRIPTION_MACHINE.sql_sources(SubscriptionState.SUPPRESSED)
        self._insert(
            Consent,
            self._consent(ConsentKind.SUPPRESSED, "m.id", _REASON_OF_RANK, "l.name"),
            f"""FROM import_person p JOIN {_table(Subscription)} m ON m.subscriber_id = p.known_subscriber
            JOIN {_table_named("mailinglist")} l ON l.id = m.mailing_list_id
            WHERE p.action = 'suppress' AND m.state IN ({sources})""",
        )
        self._run(
            f"""UPDATE {_table(Subscription)} SET state = '{SubscriptionState.SUPPRESSED}', ended_at = %(now)s,
            paused_until = NULL WHERE state IN ({sources}) AND subscriber_id IN (
                SELECT known_subscriber FROM import_person WHERE action = 'suppress')"""
        )

    def _end_subscriptions(self) -> None:
        if not self._has("SELECT 1 FROM import_person WHERE action = 'end'"):
            return
        self._insert(
            Consent,
            self._consent(ConsentKind.UNSUBSCRIBED, "subscription_id"),
            "FROM import_person p WHERE action = 'end'",
        )
        sources = SUBSCRIPTION_MACHINE.sql_sources(SubscriptionState.UNSUBSCRIBED)
        self._run(
            f"""UPDATE {_table(Subscription)} SET state = '{SubscriptionState.UNSUBSCRIBED}', paused_until = NULL,
            ended_at = COALESCE(p.ended_at, %(now)s) FROM import_person p
            WHERE p.action = 'end' AND p.subscription_id = {_table(Subscription)}.id
            AND {_table(Subscription)}.state IN ({sources})"""
        )

    def _make_subscribers(self) -> None:
        new = "makes = 1 AND known_subscriber IS NULL"
        wanted = self._count(f"SELECT count(*) FROM import_person WHERE {new}")
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
            f"FROM import_person WHERE {new} ORDER BY n",
            on_conflict="(canonical) DO NOTHING",
        )
        if made < wanted:
            # Signed up at this moment.
            self._run(
                f"""UPDATE import_person SET subscriber_id = (SELECT r.id FROM {_table(Subscriber)} r
                WHERE r.canonical = import_person.canonical) WHERE {new}"""
            )

    def _make_subscriptions(self) -> None:
        wanted = self._count("SELECT count(*) FROM import_person WHERE makes = 1")
        if not wanted:
            return
        is_ended = f"rank >= {Rank.UNSUBSCRIBED}"
        made = self._insert(
            Subscription,
            {
                "id": "subscription_id",
                "subscriber_id": "subscriber_id",
                "mailing_list_id": "%(list)s",
                "state": _STATE_OF_RANK,
                "key": _NEW_UUID[connection.vendor],
                "created_at": "COALESCE(joined_at, confirmed_at, %(now)s)",
                "confirmed_at": f"""CASE WHEN rank = {Rank.ACTIVE} THEN COALESCE(confirmed_at, joined_at, %(now)s)
                    WHEN {is_ended} THEN confirmed_at END""",
                "ended_at": f"CASE WHEN {is_ended} THEN COALESCE(ended_at, %(now)s) END",
                "request_number": "0",
                "source": "'import'",
                "import_pk": "%(owner)s",
            },
            "FROM import_person WHERE makes = 1 ORDER BY n",
            on_conflict="(mailing_list_id, subscriber_id) DO NOTHING",
        )
        if made < wanted:
            self._drop_overtaken()
        self._insert(
            Consent,
            self._consent(_KIND_OF_RANK, "subscription_id", f"CASE WHEN {is_ended} THEN {_REASON_OF_RANK} ELSE '' END"),
            "FROM import_person p WHERE makes = 1 ORDER BY n",
        )

    def _drop_overtaken(self) -> None:
        """Leave alone who got a subscription by signing up at this moment."""
        self._run(
            f"""UPDATE import_person SET makes = 0, action = 'keep', outcome = CASE WHEN rank <= {Rank.ACTIVE}
                THEN '{Outcome.KEPT}' WHEN action = 'suppress' THEN outcome ELSE '{Outcome.DIFFERS}' END,
            reason = CASE WHEN rank <= {Rank.ACTIVE} THEN '{KeptReason.PENDING}' ELSE '' END
            WHERE makes = 1 AND NOT EXISTS (SELECT 1 FROM {_table(Subscription)} m
                WHERE m.id = import_person.subscription_id AND m.import_pk = %(owner)s)"""
        )

    def _fill_profiles(self) -> None:
        profiled = "(p.makes = 1 OR p.action = 'update')"
        filled = (
            ("first_name", "fills_name", ChangeKind.NAME),
            ("time_zone", "fills_zone", ChangeKind.TIME_ZONE),
            ("language", "fills_language", ChangeKind.LANGUAGE),
        )
        for column, flag, kind in filled:
            source = f"""FROM import_person p JOIN {_table(Subscriber)} r ON r.id = p.known_subscriber
                WHERE p.{flag} = 1 AND {profiled}"""
            if not self._has(f"SELECT 1 {source}"):
                continue
            self._change(kind, "p.known_subscription", f"'from', r.{column}, 'to', p.{column}", source)
            self._run(
                f"""UPDATE {_table(Subscriber)} SET {column} = p.{column} FROM import_person p
                WHERE p.known_subscriber = {_table(Subscriber)}.id AND p.{flag} = 1 AND {profiled}"""
            )
        if self._has("SELECT 1 FROM import_person WHERE adds_note = 1"):
            self._insert(
                Note,
                {"subscriber_id": "subscriber_id", "text": "note", "by": "%(by)s", "created_at": "%(now)s"},
                f"FROM import_person p WHERE p.adds_note = 1 AND {profiled}",
            )

    def _add_tags(self) -> None:
        source = "FROM import_tag t JOIN import_person p ON p.n = t.n WHERE (p.makes = 1 OR p.action = 'update')"
        self._change(
            ChangeKind.TAG_ADDED,
            "p.known_subscription",
            f"'tag', (SELECT name FROM {_table_named('tag')} WHERE id = t.tag_id)",
            f"{source} AND p.known_subscription IS NOT NULL",
        )
        self._insert(
            SubscriptionTag,
            {"tag_id": "t.tag_id", "subscription_id": "p.subscription_id"},
            source,
            on_conflict="(tag_id, subscription_id) DO NOTHING",
        )

    def _store_values(self) -> None:
        if not self.context.fields:
            return
        source = "FROM import_value v JOIN import_person p ON p.n = v.n WHERE (p.makes = 1 OR p.action = 'update')"
        key = f"(SELECT key FROM {_table_named('customfield')} WHERE id = v.field_id)"
        before = f"""COALESCE((SELECT {_shown("x")} FROM {_table(FieldValue)} x JOIN import_stale s ON s.id = x.id
            WHERE s.n = v.n AND x.field_id = v.field_id LIMIT 1), '')"""
        self._change(
            ChangeKind.FIELD,
            "p.known_subscription",
            f"'field', {key}, 'from', {before}, 'to', {_shown('v')}",
            f"{source} AND p.known_subscription IS NOT NULL",
        )
        self._run(f"DELETE FROM {_table(FieldValue)} WHERE id IN (SELECT id FROM import_stale)")
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
            _quoted("values"): f"{build}({pairs})",
            "by": "%(by)s",
            "created_at": "%(now)s",
        }
        self._insert(Change, columns, source)

    def _consent(
        self, kind: str, subscription: str, reason: str = "''", list_name: str = "%(list_name)s"
    ) -> dict[str, str]:
        """The columns of a consent for a row of `import_person p`. `kind` is a word or an SQL expression."""
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

    # Statements

    def _insert(
        self, model: type[models.Model], columns: Mapping[str, str], source: str, *, on_conflict: str = ""
    ) -> int:
        """INSERT … SELECT; columns that are not named get the default of the model. Returns the number of rows."""
        named = {column.strip('"') for column in columns}
        expressions, values = dict(columns), dict(self._values)
        for field in model._meta.concrete_fields:
            if field.column in named or field.primary_key or field.db_default is not models.NOT_PROVIDED:
                continue
            expressions[_quoted(str(field.column))] = f"%({field.column}_default)s"
            values[f"{field.column}_default"] = field.get_db_prep_save(field.get_default(), connection)
        conflict = f" ON CONFLICT {on_conflict}" if on_conflict else ""
        if conflict and not self._is_postgresql and " WHERE " not in source:
            source += " WHERE 1 = 1"
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {_table(model)} ({', '.join(expressions)}) "
                f"SELECT {', '.join(expressions.values())} {source}{conflict}",
                values,
            )
            return int(cursor.rowcount)

    def _make(self, table: str, query: str) -> None:
        """A temporary table with statistics."""
        self._run(f"CREATE TEMPORARY TABLE {table} AS {query}")
        if self._is_postgresql:
            self._run(f"ANALYZE {table}")

    def _run(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, self._used(statement))

    def _rows(self, query: str) -> Iterator[Any]:
        with connection.cursor() as cursor:
            cursor.execute(query, self._used(query))
            while rows := cursor.fetchmany(2000):
                yield from rows

    def _has(self, query: str) -> bool:
        return any(True for _row in self._rows(f"{query} LIMIT 1"))

    def _count(self, query: str) -> int:
        return int(next(self._rows(query))[0])

    def _used(self, statement: str) -> dict[str, Any] | None:
        return self._values if "%(" in statement else None

    def _time(self, value: datetime.datetime) -> Any:
        return connection.ops.adapt_datetimefield_value(value)

    def _next_pk(self, model: type[models.Model]) -> str:
        """SQL of a free primary key. On SQLite the transaction has the write lock: nobody else takes it."""
        table = _table(model)
        if self._is_postgresql:
            sequence = next(self._rows(f"SELECT pg_get_serial_sequence('{table}', 'id')"))[0]
            return f"nextval('{sequence}')"
        used = self._count(
            f"""SELECT max(COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0),
            COALESCE((SELECT max(id) FROM {table}), 0))"""
        )
        return f"({used} + row_number() OVER (ORDER BY canonical))"


def _merge(canonical: str, group: Iterator[Sequence[Any]]) -> tuple[Any, ...]:
    """The parameters that fill one row from all rows of a subscriber, the strongest first."""
    texts, tags, values, dates = ["", "", "", ""], dict[str, None](), list[list[Any]](), [[], [], []]  # type: ignore[var-annotated]
    for _canonical, name, zone, language, row_tags, row_values, note, *row_dates in group:
        texts = [known or new for known, new in zip(texts, (name, zone, language, note), strict=True)]
        tags.update(dict.fromkeys(filter(None, row_tags.split(","))))
        filled = {number for number, _text in values}
        values += [pair for pair in json.loads(row_values or "[]") if pair[0] not in filled]
        for known, date in zip(dates, row_dates, strict=True):
            known.extend([_stored(date)] if date else [])
    joined, confirmed, ended = dates
    return (
        *texts[:3],
        ",".join(tags),
        json.dumps(values) if values else "",
        texts[3],
        min(joined, default=None),
        min(confirmed, default=None),
        max(ended, default=None),
        canonical,
    )


def _stored(value: Any) -> Any:
    """A date that was read, as it is written: SQLite has texts."""
    return value if connection.vendor == "postgresql" else str(value)


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table


def _table_named(name: str) -> str:
    return f"subscribers_{name}"


def _quoted(column: str) -> str:
    return connection.ops.quote_name(column)


def _sql_list(values: Sequence[str]) -> str:
    """`('a', 'b')`; never empty, so that it is valid SQL."""
    return "(" + ", ".join(f"'{value}'" for value in values or ("",)) + ")"


def _numbers_of(fields: Sequence[CustomField], kind: FieldKind) -> str:
    """The numbers of the fields of a kind as an SQL list."""
    return "(" + ", ".join(["-1", *(str(number) for number, field in enumerate(fields) if field.kind == kind)]) + ")"


def _fills(column: str, replaces: str) -> str:
    """1 if the file has a value for this column of a known subscriber that is to be stored."""
    return f"""CASE WHEN r.id IS NOT NULL AND p.{column} <> '' AND p.{column} <> r.{column}
        AND (r.{column} = '' OR {replaces}) THEN 1 ELSE 0 END"""


def _profiled(only_known: bool) -> str:
    return "p.action = 'update'" if only_known else "(p.action = 'update' OR p.makes = 1)"


def _shown(name: str) -> str:
    """The value of a row as a text."""
    return f"COALESCE(NULLIF({name}.text, ''), CAST({name}.number AS varchar(40)), CAST({name}.date AS varchar(40)))"


def _same(values: str) -> str:
    """Whether the stored value `x` is the same as that of the table `values`."""
    return f"""x.text = {values}.text AND COALESCE(x.number, 0) = COALESCE({values}.number, 0)
        AND (x.date = {values}.date OR (x.date IS NULL AND {values}.date IS NULL))"""


def _last_yes(name: str) -> str:
    """When the subscriber last did something with the subscription here; NULL if only imports did."""
    consents = f"FROM {_table(Consent)} c WHERE c.subscription_id = {name}.id AND c.form"
    return f"""COALESCE((SELECT max(c.created_at) {consents} <> '{ConsentForm.IMPORT}'),
        CASE WHEN NOT EXISTS (SELECT 1 {consents} = '{ConsentForm.IMPORT}') THEN {name}.created_at END)"""


def _stays(name: str, last_yes: str) -> str:
    """Whether a “no” of the file is not later than the last “yes” here."""
    return f"({last_yes} IS NOT NULL AND (q.ended_at IS NULL OR q.ended_at <= {last_yes}))"


_STATE_OF_RANK = f"""CASE rank WHEN {Rank.PENDING} THEN '{SubscriptionState.PENDING}'
    WHEN {Rank.ACTIVE} THEN '{SubscriptionState.ACTIVE}'
    WHEN {Rank.UNSUBSCRIBED} THEN '{SubscriptionState.UNSUBSCRIBED}' ELSE '{SubscriptionState.SUPPRESSED}' END"""

_KIND_OF_RANK = f"""CASE WHEN rank <= {Rank.ACTIVE} THEN '{ConsentKind.IMPORTED}'
    WHEN rank = {Rank.UNSUBSCRIBED} THEN '{ConsentKind.UNSUBSCRIBED}' ELSE '{ConsentKind.SUPPRESSED}' END"""

_REASONS = " ".join(f"WHEN {rank} THEN '{reason}'" for rank, reason in SUPPRESSION_OF_RANK.items())
_REASON_OF_RANK = f"CASE rank {_REASONS} ELSE '' END"

#: Whether the suppression that the row causes replaces the stored one.
_OUTRANKED = " OR ".join(
    f"(rank = {rank} AND suppressed IN {_sql_list([o for o in SuppressionReason.values if outranks(reason, o)])})"
    for rank, reason in SUPPRESSION_OF_RANK.items()
)

_OUTCOME = f"""CASE action WHEN 'create' THEN CASE rank WHEN {Rank.PENDING} THEN '{Outcome.PENDING}'
        WHEN {Rank.ACTIVE} THEN '{Outcome.CREATED}' ELSE '{Outcome.UNSUBSCRIBED}' END
    WHEN 'end' THEN '{Outcome.UNSUBSCRIBED}' WHEN 'suppress' THEN '{Outcome.SUPPRESSED}'
    WHEN 'keep' THEN '{Outcome.KEPT}' WHEN 'differ' THEN '{Outcome.DIFFERS}' ELSE '{Outcome.ALREADY}' END"""

_REASON = f"""CASE WHEN action <> 'keep' THEN '' WHEN suppressed IS NOT NULL THEN '{KeptReason.SUPPRESSED}'
    WHEN declined_at IS NOT NULL THEN '{KeptReason.DECLINED}' WHEN known_state IS NOT NULL THEN known_state
    ELSE '{KeptReason.DELETED}' END"""

_HEX = "lower(hex(randomblob({})))"
#: Random UUIDs of version 4, as Django stores them.
_NEW_UUID = {
    "postgresql": "gen_random_uuid()",
    "sqlite": " || ".join(
        (_HEX.format(6), "'4'", f"substr({_HEX.format(2)}, 2)", "'a'", f"substr({_HEX.format(2)}, 2)", _HEX.format(6))
    ),
}
