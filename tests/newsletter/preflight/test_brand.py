"""Colors of a brand that are hard to read: they may be saved, and block sending."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.models import Brand, Issue, Newsletter
from newsletter.preflight import Severity
from newsletter.rendering.brand import BrandSettings, branded, weak_pairings
from newsletter.rendering.theme import PLAIN
from newsletter.sending.check import preflight_issue
from tests.newsletter.preflight.finding import findings_of_family, with_code
from tests.newsletter.preflight.sample_issue import PLAIN_ISSUE, inspection_of
from tests.publications import make_issue

OCHRE = "#c98a3a"


def brand_errors(issue: Issue) -> list[str]:
    findings = preflight_issue(Issue.objects.get(pk=issue.pk)).blocking
    return [finding.code for finding in findings if finding.place == "Brand"]


def test_a_weak_color_is_one_error_for_each_kind_of_screen() -> None:
    theme = branded(PLAIN, BrandSettings(accent=OCHRE, accent_dark="#333355", is_exact=True)).theme
    found = findings_of_family("accessibility", replace(inspection_of(PLAIN_ISSUE), weak_colours=weak_pairings(theme)))
    assert sorted(with_code(found)) == [
        (Severity.ERROR, "accessibility", "brand_contrast", "Brand"),
        (Severity.ERROR, "accessibility", "brand_contrast_dark", "Brand"),
    ]
    assert f"{OCHRE} on #f5f6fa has a contrast of 2.7, and 4.5 is required" in " ".join(
        str(finding.message) for finding in found
    )


@pytest.mark.django_db
@pytest.mark.any_database
def test_an_exact_color_blocks_sending_until_it_is_readable() -> None:
    issue = make_issue()
    assert brand_errors(issue) == []
    Brand.objects.create(newsletter=issue.newsletter, accent=OCHRE, is_exact=True)
    assert brand_errors(issue) == ["brand_contrast"]
    Brand.objects.update(is_exact=False)
    assert brand_errors(issue) == []
    Brand.objects.update(is_exact=True, accent="#0a6345")
    assert brand_errors(issue) == []


@pytest.mark.django_db
@pytest.mark.any_database
def test_a_theme_that_is_missing_is_reported_once() -> None:
    issue = make_issue()
    Newsletter.objects.update(theme="lost")
    assert brand_errors(issue) == []
