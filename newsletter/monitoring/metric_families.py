"""Families of metrics: one value, or one for each value of a label."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric


def gauge(name: str, help_text: str, value: float) -> Metric:
    """One value; `newsletter_` is put before the name."""
    return GaugeMetricFamily(f"newsletter_{name}", help_text, value=value)


def gauges(name: str, help_text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    """One value for each value of a label."""
    family = GaugeMetricFamily(f"newsletter_{name}", help_text, labels=[label])
    for label_value, value in values:
        family.add_metric([label_value], value)
    return family


def age(since: datetime.datetime | None, now: datetime.datetime) -> float:
    """Seconds since then; 0 without a time, and for one to come."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def with_zeros(label_values: Iterable[str], counts: dict[str, int]) -> list[tuple[str, float]]:
    """Every label value with its count, 0 where it has none: an alert on an absent series never fires."""
    return [(label_value, counts.get(label_value, 0)) for label_value in label_values]
