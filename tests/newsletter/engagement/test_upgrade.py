"""The upgrade to a chosen source: what was tracked with consent before is tracked as before, all else by no source."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from newsletter.models import Newsletter
from tests.old_schema import schema_of, upgrade

pytestmark = [pytest.mark.upgrade, pytest.mark.django_db(transaction=True)]

BEFORE = (("newsletter", "0020_subscribers_and_audiences"), ("subscribers", "0009_subscribers_and_audiences"))


def test_consent_to_tracking_was_the_providers() -> None:
    with schema_of(*BEFORE) as old:
        for mode in ("none", "aggregate", "consent"):
            old("newsletter.Newsletter").objects.create(name=mode, slug=mode, consent_mode=mode)
        upgrade()
        found = dict(Newsletter.objects.values_list("consent_mode", "engagement_source"))
        assert found == {"none": "none", "aggregate": "none", "consent": "provider"}
        assert not Newsletter.objects.filter(measures_opens=True).exists()
        with pytest.raises(IntegrityError), transaction.atomic():
            Newsletter.objects.update(engagement_source="provider")
