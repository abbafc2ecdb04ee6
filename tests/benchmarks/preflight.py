"""Pre-flight: every check on one rendered digest of 31 stories, the parsing of its HTML included."""

from __future__ import annotations

from tests.benchmarks.rows import Row, median_cpu_seconds


def measure() -> list[Row]:
    """Time of all families together, nothing remembered from a run before."""
    import django

    # Some families look into the database's models, which can be imported from here on only.
    django.setup()
    from newsletter.preflight import run_checks
    from newsletter.preflight.mail_page import mail_page
    from tests.newsletter.preflight.sample_issue import inspection_of
    from tests.newsletter.rendering.digests import write_digest

    inspection = inspection_of(write_digest())

    def check() -> None:
        mail_page.cache_clear()
        run_checks(inspection)

    return [Row("pre-flight of 31 stories, all families", median_cpu_seconds(check, runs=15) * 1e3, "ms CPU", "<= 30")]
