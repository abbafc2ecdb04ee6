"""Personalise: fill 5 placeholders in 60 KB for one recipient, in the part itself and in an encoded message."""

from __future__ import annotations

import itertools

import orjson

from newsletter.rendering import PlaceholderContext, PlaceholderTemplate, as_json_string, placeholder_token
from tests.benchmarks.rows import Row, median_cpu_seconds

NONCE = "0123456789ab"
SIZE = 60_000
RECIPIENTS = 5_000
GOAL = ">= 100,000"
PLACEHOLDERS = ("unsubscribe_url", "preferences_url", "name", "address", "city")


def measure() -> list[Row]:
    """Messages per second on one core, each recipient with values of their own."""
    html = _write_html()
    message = {"to": [placeholder_token(NONCE, "address", PlaceholderContext.PLAIN)], "html": html}
    return [
        Row(
            "personalise, 60 KB, 5 placeholders",
            _per_second(PlaceholderTemplate.split(html.encode(), NONCE)),
            "messages/s",
            GOAL,
        ),
        Row(
            "personalise, the same in JSON",
            _per_second(PlaceholderTemplate.split(orjson.dumps(message), NONCE, outer=as_json_string)),
            "messages/s",
            GOAL,
        ),
    ]


def _per_second(template: PlaceholderTemplate) -> float:
    recipients = [_values(number) for number in range(RECIPIENTS)]

    def fill_all() -> None:
        for values in recipients:
            template.fill(values)

    return RECIPIENTS / median_cpu_seconds(fill_all, runs=7)


def _write_html() -> str:
    tokens = itertools.cycle(placeholder_token(NONCE, name, PlaceholderContext.HTML) for name in PLACEHOLDERS)
    paragraph = '<p style="margin:0 0 12px">The harbour grows upwards — the cranes at quay 3 lift forty tonnes.</p>\n'
    gap = paragraph * (SIZE // len(PLACEHOLDERS) // len(paragraph.encode()) + 1)
    return "".join(f"{gap}{next(tokens)}" for _ in PLACEHOLDERS)


def _values(number: int) -> dict[str, str]:
    return {
        "unsubscribe_url": f"https://digest.example.org/u/{number:040x}",
        "preferences_url": f"https://digest.example.org/p/{number:040x}?a=1&b=2",
        "name": f"Ada & Ben {number}",
        "address": f"reader-{number}@example.org",
        "city": "Łódź",
    }
