"""States are written by the state machines only: every other write in the product code fails here."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.models import (
    ARCHIVE_IMPORT_MACHINE,
    BATCH_MACHINE,
    DELIVERY_MACHINE,
    ENDPOINT_MACHINE,
    EVENT_MACHINE,
    ISSUE_MACHINE,
    MESSAGE_MACHINE,
    REPORT_MAIL_MACHINE,
    SAVED_LINK_MACHINE,
    SEND_MACHINE,
    SWITCH_MACHINE,
    WEB_PAGE_MACHINE,
)
from subscribers.models import (
    ADDRESS_CHANGE_MACHINE,
    BULK_ACTION_MACHINE,
    IMPORT_MACHINE,
    SIGNUP_MACHINE,
    SUBSCRIPTION_MACHINE,
    SUNSET_MACHINE,
    TRANSACTIONAL_MAIL_MACHINE,
)

#: Columns with a state that a machine moves.
FIELDS = {"state", "visibility"}

MACHINES = {
    "issue": ISSUE_MACHINE,
    "web page": WEB_PAGE_MACHINE,
    "send": SEND_MACHINE,
    "batch": BATCH_MACHINE,
    "delivery": DELIVERY_MACHINE,
    "event": EVENT_MACHINE,
    "sign-up": SIGNUP_MACHINE,
    "subscription": SUBSCRIPTION_MACHINE,
    "sunset question": SUNSET_MACHINE,
    "transactional mail": TRANSACTIONAL_MAIL_MACHINE,
    "change of address": ADDRESS_CHANGE_MACHINE,
    "bulk action": BULK_ACTION_MACHINE,
    "import": IMPORT_MACHINE,
    "import of an archive": ARCHIVE_IMPORT_MACHINE,
    "webhook endpoint": ENDPOINT_MACHINE,
    "webhook message": MESSAGE_MACHINE,
    "mail with a DMARC report": REPORT_MAIL_MACHINE,
    "sending switch": SWITCH_MACHINE,
    "saved link": SAVED_LINK_MACHINE,
}

#: Where states may be written otherwise, with the reason.
ALLOWED = {
    "subscribers/state_machine.py": "the machine itself",
    # Rows are made in a first state; `initial_states` of their machine allows these.
    "newsletter/models/send.py": "Send.objects.create_with_history, which checks initial_states",
    "newsletter/content/web_versions.py": "pages are made in a first visibility, which `initial_states` allows",
    "newsletter/web/archive.py": "an issue for the public is a plain value",
    "newsletter/backup/restore.py": "stops a restored copy in the transaction that loads it",
    "newsletter/sending/batch.py": "raw SQL takes its states from the table",
    "newsletter/sending/build.py": "raw SQL takes its states from the table",
    "newsletter/sending/outcome.py": "parts of a batch are made as claimed; raw SQL takes its states from the table",
    "subscribers/imports/chunk.py": "raw SQL takes its states from the table; `initial_states` allows new ones",
    "subscribers/directory/add.py": "subscriptions are made as active; `initial_states` allows it",
    "subscribers/imports/rows.py": "the state that a row has in the other tool; not a column of ours",
    "newsletter/archive_import/item_data.py": "the visibility that an issue had in another tool",
    "newsletter/archive_import/report.py": "the visibility that an issue had in another tool",
    "newsletter/archive_import/stage.py": "the visibility that an issue had in another tool",
    "newsletter/content/archives/beehiiv.py": "the visibility that an issue had in another tool",
    "newsletter/content/archives/buttondown.py": "the visibility that an issue had in another tool",
    "newsletter/content/archives/ghost.py": "the visibility that an issue had in another tool",
    "newsletter/content/archives/kit.py": "the visibility that an issue had in another tool",
    "newsletter/content/archives/listmonk.py": "the visibility that an issue had in another tool",
    "newsletter/content/archives/markdown_files.py": "the visibility that an issue had in another tool",
    "newsletter/content/archives/markdown_head.py": "the visibility that an issue had in another tool",
    "newsletter/content/archives/past_issue.py": "the visibility that an issue had in another tool",
    "newsletter/content/archives/substack.py": "the visibility that an issue had in another tool",
    "newsletter/preflight/link_checks.py": "a link is waiting or checked; it has no machine",
    "newsletter/events/apply.py": "raw SQL takes its states from the table; `conclude` is a plain value",
}

#: Queries, which read.
READS = {"Q"}

SQL_WRITE = re.compile(r"\bSET\b[^;]*\bstate\s*=", re.IGNORECASE | re.DOTALL)


def product_modules() -> Iterator[Path]:
    for package in ("newsletter", "subscribers"):
        for path in sorted((PROJECT_ROOT / package).rglob("*.py")):
            if not {"migrations", "sandbox"} & set(path.parts):
                yield path


def writes_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and kind of every place that may write a state column."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in (part for whole in targets for part in ast.walk(whole)):
                if isinstance(target, ast.Attribute) and target.attr in FIELDS:
                    yield node.lineno, f"assigns .{target.attr}"
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            is_write = name in {"update", "create", "get_or_create", "update_or_create"} or name[:1].isupper()
            if is_write and name not in READS and any(keyword.arg in FIELDS for keyword in node.keywords):
                yield node.lineno, f"{name}(state=…)"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL_WRITE.search(node.value):
            yield node.lineno, "SQL that sets a state"


def test_states_are_written_by_their_machines_only() -> None:
    found = [
        f"{path.relative_to(PROJECT_ROOT)}:{line}: {what}"
        for path in product_modules()
        if str(path.relative_to(PROJECT_ROOT)) not in ALLOWED
        for line, what in writes_of(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "Move these rows with .move() or .move_row() of their state machine."


def test_the_search_finds_every_kind_of_write() -> None:
    source = (
        'batch.state = "held"\n'
        'batch.state, batch.reason = "held", ""\n'
        'Batch.objects.filter(pk=1).update(state="held")\n'
        'Batch(state="held")\n'
        'sql = "UPDATE newsletter_batch SET reason = 1, state = 2"\n'
    )
    assert [line for line, _what in writes_of(ast.parse(source))] == [1, 2, 3, 4, 5]


def test_the_states_in_the_readme_are_those_of_the_tables() -> None:
    """Each machine has a row in README.md that draws its transitions, and no others."""
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    for name, machine in MACHINES.items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| {name} |"))
        drawn = set(_transitions(row.split("|")[2]))
        table = {(source, target) for source, targets in machine.transitions.items() for target in targets}
        assert drawn == {(str(source), str(target)) for source, target in table}, (
            f"Update the row “{name}” in README.md."
        )


def _transitions(cell: str) -> Iterator[tuple[str, str]]:
    """Those of a cell such as `a → b, c → d` · `b ⇄ c`."""
    for part in cell.replace("`", "").split("·"):
        stops = [[state.strip() for state in stop.split(",")] for stop in re.split("→|⇄", part)]
        for sources, targets in itertools.pairwise(stops):
            for source in sources:
                for target in targets:
                    yield source, target
                    if "⇄" in part:
                        yield target, source
