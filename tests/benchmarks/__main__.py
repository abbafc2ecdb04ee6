"""`python -m tests.benchmarks`: run every benchmark and print one table."""

from __future__ import annotations

from tests.benchmarks import freeze, mjml, personalise, sending
from tests.benchmarks.rows import Row, table

BENCHMARKS = (freeze.measure, mjml.measure, personalise.measure, sending.measure)


def main() -> None:
    """Measure all, then print."""
    rows: list[Row] = [row for measure in BENCHMARKS for row in measure()]
    print(table(rows))


if __name__ == "__main__":
    main()
