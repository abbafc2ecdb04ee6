"""Pre-flight: every check on one rendered digest of 31 stories, with the parsing of its HTML."""

from __future__ import annotations

from tests.benchmarks.rows import Row, median_cpu_seconds


def measure() -> list[Row]:
    """CPU time of all checks together, without caches of earlier runs."""
    import django

    # Some checks import models, which needs Django to be set up.
    django.setup()
    from newsletter.preflight import run_checks
    from newsletter.preflight.mail_page import mail_page
    from tests.newsletter.preflight.sample_issue import inspection_of
    from tests.newsletter.rendering.digests import write_digest

    inspection = inspection_of(write_digest())

    def check() -> None:
        mail_page.cache_clear()
        run_checks(inspection)

    return [Row("pre-flight of 31 stories, all checks", median_cpu_seconds(check, runs=15) * 1e3, "ms CPU", "<= 30")]
