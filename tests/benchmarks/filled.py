"""A database full of subscribers for the benchmarks of lists, segments and exports; on PostgreSQL and on SQLite."""

from __future__ import annotations

from typing import Any

#: Names differ, and one in 90 addresses has “lantern” in it. Half of the subscribers have the tag “patron”, one in 100
#: “rare”, one in 200 “press”; half have a city, the other half an age. All agreed within two years, and one in 33 has
#: left. The words that differ between the databases are in WORDS.
FILL = (
    """
    INSERT INTO subscribers_subscriber (address, canonical, first_name, time_zone, created_at)
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {size}),
    named AS (
        SELECT n, CASE WHEN n % 90 = 0 THEN 'lantern' ELSE 'reader' END || '-' || n || '@mail' || (n % 500)
            || '.example' AS address, substr(md5(CAST(n % 20000 AS text)), 1, 4 + n % 6) AS name FROM numbers)
    SELECT address, address, upper(substr(name, 1, 1)) || substr(name, 2), '', {now} FROM named ORDER BY n
    """,
    """
    INSERT INTO subscribers_subscription
        (mailing_list_id, subscriber_id, state, key, created_at, confirmed_at, request_number, source)
    SELECT {list}, id, CASE id % 100 WHEN 1 THEN 'unsubscribed' WHEN 2 THEN 'suppressed' WHEN 3 THEN 'pending'
            WHEN 4 THEN 'unsubscribed' ELSE 'active' END, {key}, {day}, {day}, 1,
        CASE id % 10 WHEN 0 THEN 'archive' ELSE 'import' END
    FROM subscribers_subscriber ORDER BY id
    """,
    """
    INSERT INTO subscribers_subscriptiontag (tag_id, subscription_id)
    SELECT t.id, s.id FROM subscribers_subscription s JOIN subscribers_tag t
        ON (t.key = 'patron' AND s.id % 2 = 0) OR (t.key = 'press' AND s.id % 200 = 0)
            OR (t.key = 'rare' AND s.id % 100 = 0)
    """,
    """
    INSERT INTO subscribers_fieldvalue (field_id, subscription_id, is_multiple, text)
    SELECT {city}, id, FALSE, 'City ' || (id % 200) FROM subscribers_subscription WHERE id % 2 = 0
    """,
    """
    INSERT INTO subscribers_fieldvalue (field_id, subscription_id, is_multiple, text, number)
    SELECT {age}, id, FALSE, '', id % 80 FROM subscribers_subscription WHERE id % 2 = 1
    """,
    """
    INSERT INTO subscribers_consent (subscription_id, kind, created_at, address, canonical, list_name, form, text_id,
        language, source, user_agent, by, reason, detail)
    SELECT s.id, 'imported', {now}, '', '', 'Harbour Notes', 'import', (SELECT max(id) FROM subscribers_consenttext),
        '', '', '', 'ida', '', 'double_opt_in_elsewhere' FROM subscribers_subscription s
    """,
)

WORDS = {
    "postgresql": {
        "now": "now()",
        "day": "now() - id % 730 * interval '1 day'",
        "key": "gen_random_uuid()",
    },
    "sqlite": {
        "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
        "day": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || (id % 730) || ' days')",
        "key": "lower(hex(randomblob(16)))",
    },
}

TAGS = ("patron", "press", "rare")


def fill(size: int) -> Any:
    """Migrate the database of the settings, and fill it with so many subscribers of one list, which is returned."""
    from django.core.management import call_command
    from django.db import connection, transaction

    from subscribers.directory.search import POSTGRESQL_INDEXES, SQLITE_TRIGGERS, prepare_index
    from subscribers.models import ConsentText, CustomField, FieldKind, Tag
    from tests.publications import make_newsletter

    call_command("migrate", verbosity=0)
    newsletter = make_newsletter()
    for name in TAGS:
        Tag.objects.create(mailing_list=newsletter, name=name)
    kinds = {"city": FieldKind.TEXT, "age": FieldKind.NUMBER}
    fields = {
        key: CustomField.objects.create(mailing_list=newsletter, key=key, label=key, kind=kind).pk
        for key, kind in kinds.items()
    }
    ConsentText.objects.create(sha256="x", form="import", text="Exported from the old system.")
    words = {"size": size, "list": newsletter.pk, **fields, **WORDS[connection.vendor]}
    with connection.cursor() as cursor, transaction.atomic():
        # The index of the search is faster made at once than row by row.
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")
            for index in POSTGRESQL_INDEXES:
                cursor.execute(f"DROP INDEX IF EXISTS {index}")
        else:
            for trigger in SQLITE_TRIGGERS:
                cursor.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        for statement in FILL:
            cursor.execute(statement.format(**words))
    prepare_index()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return newsletter
