"""`python -m tests.benchmarks` runs every benchmark and prints a table.

`--large` adds an audience of a million; `--quick` leaves out the audience of 100,000, and takes smaller lists.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from tests.benchmarks import (
    admin,
    directory,
    events,
    fleet,
    freeze,
    imports,
    links,
    mjml,
    personalise,
    preflight,
    sending,
    webhooks,
    worker,
)
from tests.benchmarks.rows import Row, table

SIZES = {"large": "--large" in sys.argv[1:], "quick": "--quick" in sys.argv[1:]}

BENCHMARKS = (
    freeze.measure,
    mjml.measure,
    preflight.measure,
    personalise.measure,
    sending.measure,
    worker.measure,
    partial(events.measure, **SIZES),
    partial(admin.measure, **SIZES),
    links.measure,
    partial(directory.measure, **SIZES),
    partial(imports.measure, **SIZES),
    partial(fleet.measure, **SIZES),
    partial(webhooks.measure, **SIZES),
)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    rows: list[Row] = [row for measure in BENCHMARKS for row in measure()]
    print(table(rows))


if __name__ == "__main__":
    main()
