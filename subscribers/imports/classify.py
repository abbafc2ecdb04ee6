# ruff: noqa: S608 - the statements are made of names and words of ours; values are parameters
"""What becomes of each subscriber of a chunk, found out without writing anything but temporary tables.

Everything happens in temporary tables with statistics of their own and in one statement per table: with joins of
common table expressions, PostgreSQL has no statistics and may choose a plan that does not end within minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from django.db import connection

from subscribers.imports.outcomes import SUPPRESSION_OF_RANK, Counts, KeptReason, Outcome, Rank
from subscribers.imports.staging import Choice
from subscribers.imports.statements import (
    STATE_OF_RANK,
    ChunkContext,
    Statements,
    same_value_sql,
    sql_list,
    table_named,
    table_of,
)
from subscribers.models import (
    REFUSALS,
    Consent,
    ConsentForm,
    ConsentKind,
    CustomField,
    FieldKind,
    FieldValue,
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
    "import_known_subscriber",
    "import_known",
    "import_subscriber",
    "import_suppressed",
    "import_choice",
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


class ClassifiedChunk(Statements):
    """The rows of an import whose canonical address is greater than `after` and not greater than `until`.

    `classify` writes nothing but temporary tables. `write` stores the outcome. Both need a transaction around them.
    """

    def __init__(self, context: ChunkContext, after: str, until: str) -> None:
        self.context = context
        values = {
            "owner": context.import_pk,
            "list": context.mailing_list_pk,
            "after": after,
            "until": until,
            "now": connection.ops.adapt_datetimefield_value(context.now),
            "by": context.by,
            "list_name": context.list_name,
            "text": context.text_pk,
            "tags": json.dumps(list(context.tags)),
            "fields": json.dumps([field.pk for field in context.fields]),
        }
        super().__init__(values)

    def classify(self, *, only_known: bool) -> None:
        """Fill the temporary tables, which `drop` or a rollback removes.

        `only_known`: without the tags and values of new subscriptions, for a dry run.
        """
        if self._is_postgresql:
            # Compiling statements that run once costs more than running them, and so do statistics of a large sample.
            # A chunk is sorted in memory.
            self._run("SET LOCAL jit = off; SET LOCAL default_statistics_target = 10; SET LOCAL work_mem = '64MB'")
        self._read_rows()
        self._merge_repeated()
        self._join_known()
        self._find_new_tags(only_known=only_known)
        self._find_new_values(only_known=only_known)
        self._run(
            f"""UPDATE import_subscriber SET outcome = '{Outcome.UPDATED}' WHERE action = 'update' AND (
                fills_name + fills_zone + fills_language + adds_note > 0
                OR n IN (SELECT n FROM import_tag) OR n IN (SELECT n FROM import_value)
                OR n IN (SELECT n FROM import_stale))"""
        )

    def counts(self) -> Counts:
        """Rows by outcome and reason."""
        found: Counts = {}
        repeated = 0
        for outcome, reason, count, rows in self._rows(
            "SELECT outcome, reason, count(*), sum(row_count) FROM import_subscriber GROUP BY outcome, reason"
        ):
            found.setdefault(outcome, {})[reason] = count
            repeated += int(rows) - count
        if repeated:
            found[Outcome.REPEATED] = {"": repeated}
        return found

    def entries(self, canonicals: Sequence[str]) -> dict[str, tuple[str, str, str, str]]:
        """Outcome, reason, and name and state after the import, of those of these subscribers that are in the chunk."""
        if not canonicals:
            return {}
        marks = ", ".join(["%s"] * len(canonicals))
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT canonical, outcome, reason, CASE WHEN subscriber_known = 0 OR (fills_name = 1
                AND (makes = 1 OR action = 'update')) THEN first_name ELSE known_first_name END,
                CASE WHEN makes = 1 OR action IN ('end', 'suppress') THEN {STATE_OF_RANK}
                ELSE COALESCE(known_state, '') END FROM import_subscriber WHERE canonical IN ({marks})""",
                list(canonicals),
            )
            return {canonical: (outcome, reason, name, state) for canonical, outcome, reason, name, state in cursor}

    def drop(self) -> None:
        """Remove the temporary tables."""
        prefix = "pg_temp." if self._is_postgresql else "temp."
        names = [prefix + table for table in TABLES]
        for together in [", ".join(names)] if self._is_postgresql else names:
            self._run(f"DROP TABLE IF EXISTS {together}")

    def _read_rows(self) -> None:
        """One row per subscriber: the one with the strongest state, of these the first."""
        self._make(
            "import_row",
            f"""SELECT * FROM (
                SELECT staged.*, count(*) OVER (PARTITION BY canonical) AS row_count,
                row_number() OVER (PARTITION BY canonical ORDER BY rank DESC, position) AS place
                FROM {table_of(StagedRow)} staged
                WHERE owner_id = %(owner)s AND canonical > %(after)s AND canonical <= %(until)s
            ) numbered WHERE place = 1""",
        )

    def _merge_repeated(self) -> None:
        """Fill the row of a subscriber who is in the file more than once from the other rows."""
        if not self._has("SELECT 1 FROM import_row WHERE row_count > 1"):
            return
        rows = self._rows(
            f"""SELECT {REPEATED_COLUMNS} FROM {table_of(StagedRow)} WHERE owner_id = %(owner)s
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

    def _find_known(self) -> None:
        """The subscribers that are known, then their subscriptions: with the number of the first, PostgreSQL neither
        reads all subscriptions for a few subscribers, nor looks for many one by one.
        """
        self._make(
            "import_known_subscriber",
            f"""SELECT r.id, r.canonical, r.first_name, r.time_zone, r.language, r.declined_at
            FROM import_row p JOIN {table_of(Subscriber)} r
            ON r.canonical = p.canonical AND r.canonical > %(after)s AND r.canonical <= %(until)s""",
        )
        self._make(
            "import_known",
            f"""SELECT r.*, m.id AS subscription_id, m.state FROM import_known_subscriber r
            LEFT JOIN {table_of(Subscription)} m ON m.subscriber_id = r.id AND m.mailing_list_id = %(list)s""",
        )

    def _join_known(self) -> None:
        """What is known of each subscriber, and what follows."""
        self._find_known()
        replaces = "1 = 1" if self.context.replaces else "1 = 0"
        known = f"""
            SELECT p.*, r.id AS known_subscriber, r.subscription_id AS known_subscription, r.state AS known_state,
            b.reason AS suppressed, r.declined_at, COALESCE(r.first_name, '') AS known_first_name,
            CASE WHEN r.id IS NULL THEN 0 ELSE 1 END AS subscriber_known,
            {_fills("first_name", replaces)} AS fills_name, {_fills("time_zone", replaces)} AS fills_zone,
            {_fills("language", replaces)} AS fills_language,
            CASE WHEN p.note = '' THEN 0 WHEN r.id IS NULL THEN 1 WHEN EXISTS (
                SELECT 1 FROM {table_of(Note)} x WHERE x.subscriber_id = r.id AND x.text = p.note) THEN 0 ELSE 1 END
                AS adds_note
            FROM import_row p
            LEFT JOIN import_known r ON r.canonical = p.canonical
            LEFT JOIN {table_of(Suppression)} b ON b.fingerprint = p.fingerprint {self._fence}"""
        decided = (
            f"SELECT q.*, {self._action()} AS action, {self._deleted()} AS was_deleted FROM ({known}) q {self._fence}"
        )
        complete = f"""
            SELECT d.*, CASE WHEN action = 'create' THEN 1 WHEN action = 'suppress' AND known_state IS NULL
            AND suppressed IS NULL AND was_deleted = 0 THEN 1 ELSE 0 END AS makes FROM ({decided}) d {self._fence}"""
        self._make(
            "import_subscriber",
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
        own = f"EXISTS (SELECT 1 FROM {table_of(Subscription)} m WHERE m.id = known_subscription AND {stays})"
        any_list = f"""EXISTS (SELECT 1 FROM {table_of(Subscription)} m WHERE m.subscriber_id = known_subscriber
            AND m.state IN {sql_list(open_ones)} AND {stays})"""
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
        condition = f"""FROM {table_of(Consent)} c WHERE c.subscription_id IS NULL AND c.kind IN {sql_list(REFUSALS)}
            AND c.canonical"""
        if not self._has(f"SELECT 1 {condition} > ''"):
            return "0"
        others = f"SELECT name FROM {table_named('mailinglist')} WHERE id <> %(list)s"
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
            f"""SELECT DISTINCT p.n, k.number, k.pk AS tag_id FROM import_subscriber p {numbers}
            JOIN import_known_tag k ON k.number = t.value
            WHERE p.tags <> '' AND {_profiled(only_known)} AND (p.known_subscription IS NULL OR NOT EXISTS (
                SELECT 1 FROM {table_of(SubscriptionTag)} x
                WHERE x.tag_id = k.pk AND x.subscription_id = p.subscription_id))""",
        )

    def _make_known(self, table: str, name: str) -> None:
        """The primary keys of a JSON array by their place, counted from 0."""
        if self._is_postgresql:
            source = f"json_array_elements_text(%({name})s::json) WITH ORDINALITY AS known(pk, place)"
            self._make(table, f"SELECT place - 1 AS number, known.pk::bigint AS pk FROM {source}")
        else:
            self._make(table, f"SELECT key AS number, value AS pk FROM json_each(%({name})s)")

    def _pairs(self) -> tuple[str, str, str]:
        """SQL that joins the pairs of `field_values` of `import_subscriber p`; their number and their text."""
        if self._is_postgresql:
            pairs = "CROSS JOIN LATERAL jsonb_array_elements(p.field_values::jsonb) AS v(pair)"
            return pairs, "(v.pair->>0)::bigint", "v.pair->>1"
        return "JOIN json_each(p.field_values) v", "json_extract(v.value, '$[0]')", "json_extract(v.value, '$[1]')"

    def _find_new_values(self, *, only_known: bool) -> None:
        """The values that are not stored yet, and on replacing the stored ones that are not in the file."""
        self._make_known("import_known_field", "fields")
        pairs, number, text = self._pairs()
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
            FROM import_subscriber p {pairs} JOIN import_known_field k ON k.number = {number}
            WHERE p.field_values <> '' AND {_profiled(only_known)}"""
        stored = f"SELECT 1 FROM {table_of(FieldValue)} x WHERE x.field_id = c.field_id"
        stored += " AND x.subscription_id = c.subscription_id"
        if not self.context.replaces:
            new = f"c.known_subscription IS NULL OR NOT EXISTS ({stored})"
            self._make("import_value", f"SELECT * FROM ({candidates}) c WHERE {new}")
            self._make("import_stale", f"SELECT x.id, 0 AS n FROM {table_of(FieldValue)} x WHERE 1 = 0")
            return
        self._make("import_value", f"SELECT * FROM ({candidates}) c")
        self._run("CREATE INDEX import_value_n ON import_value (n)")
        self._make(
            "import_stale",
            f"""SELECT DISTINCT x.id, c.n FROM import_value c JOIN {table_of(FieldValue)} x
            ON x.field_id = c.field_id AND x.subscription_id = c.subscription_id
            WHERE c.known_subscription IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM import_value d WHERE d.n = c.n AND d.field_id = c.field_id AND {same_value_sql("d")})""",
        )
        self._run(
            f"""DELETE FROM import_value WHERE known_subscription IS NOT NULL AND EXISTS (
                SELECT 1 FROM {table_of(FieldValue)} x WHERE x.field_id = import_value.field_id
                AND x.subscription_id = import_value.subscription_id AND {same_value_sql("import_value")})"""
        )


def _merge(canonical: str, group: Iterator[Sequence[Any]]) -> tuple[Any, ...]:
    """The parameters that fill one row from all rows of a subscriber, the strongest first."""
    texts, tags, values, dates = ["", "", "", ""], dict[str, None](), list[list[Any]](), [[], [], []]  # type: ignore[var-annotated]
    for _canonical, name, zone, language, row_tags, row_values, note, *row_dates in group:
        texts = [known or new for known, new in zip(texts, (name, zone, language, note), strict=True)]
        tags.update(dict.fromkeys(filter(None, row_tags.split(","))))
        filled = {number for number, _text in values}
        values += [pair for pair in json.loads(row_values or "[]") if pair[0] not in filled or _adds(pair, values)]
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


def _adds(pair: list[Any], values: list[list[Any]]) -> bool:
    """Whether it turns off a topic that no other row of the subscriber turns off."""
    return bool(pair[0] == Choice.TOPIC_OFF and pair not in values)


def _stored(value: Any) -> Any:
    """A date that was read, as it is written: SQLite has texts."""
    return value if connection.vendor == "postgresql" else str(value)


def _numbers_of(fields: Sequence[CustomField], kind: FieldKind) -> str:
    """The numbers of the fields of a kind as an SQL list."""
    return "(" + ", ".join(["-1", *(str(number) for number, field in enumerate(fields) if field.kind == kind)]) + ")"


def _fills(column: str, replaces: str) -> str:
    """1 if the file has a value for this column of a known subscriber that is to be stored."""
    return f"""CASE WHEN r.id IS NOT NULL AND p.{column} <> '' AND p.{column} <> r.{column}
        AND (r.{column} = '' OR {replaces}) THEN 1 ELSE 0 END"""


def _profiled(only_known: bool) -> str:
    return "p.action = 'update'" if only_known else "(p.action = 'update' OR p.makes = 1)"


def _last_yes(name: str) -> str:
    """When the subscriber last did something with the subscription here; NULL if only imports did."""
    consents = f"FROM {table_of(Consent)} c WHERE c.subscription_id = {name}.id AND c.form"
    return f"""COALESCE((SELECT max(c.created_at) {consents} <> '{ConsentForm.IMPORT}'),
        CASE WHEN NOT EXISTS (SELECT 1 {consents} = '{ConsentForm.IMPORT}') THEN {name}.created_at END)"""


def _stays(name: str, last_yes: str) -> str:
    """Whether a “no” of the file is not later than the last “yes” here."""
    return f"({last_yes} IS NOT NULL AND (q.ended_at IS NULL OR q.ended_at <= {last_yes}))"


#: Whether the suppression that the row causes replaces the stored one.
_OUTRANKED = " OR ".join(
    f"(rank = {rank} AND suppressed IN {sql_list([o for o in SuppressionReason.values if outranks(reason, o)])})"
    for rank, reason in SUPPRESSION_OF_RANK.items()
)

_OUTCOME = f"""CASE action WHEN 'create' THEN CASE rank WHEN {Rank.PENDING} THEN '{Outcome.PENDING}'
        WHEN {Rank.ACTIVE} THEN '{Outcome.CREATED}' ELSE '{Outcome.UNSUBSCRIBED}' END
    WHEN 'end' THEN '{Outcome.UNSUBSCRIBED}' WHEN 'suppress' THEN '{Outcome.SUPPRESSED}'
    WHEN 'keep' THEN '{Outcome.KEPT}' WHEN 'differ' THEN '{Outcome.DIFFERS}' ELSE '{Outcome.ALREADY}' END"""

_REASON = f"""CASE WHEN action <> 'keep' THEN '' WHEN suppressed IS NOT NULL THEN '{KeptReason.SUPPRESSED}'
    WHEN declined_at IS NOT NULL THEN '{KeptReason.DECLINED}' WHEN known_state IS NOT NULL THEN known_state
    ELSE '{KeptReason.DELETED}' END"""
